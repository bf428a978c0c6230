import { join } from 'node:path';
import { PanamaxError } from '../../../errors.ts';
import { PatchReader } from '../../patchreader.ts';
import { BitDecoder } from './bitcoder.ts';
import { BatchModels, codeBatch, MAX_RATIO, type BatchPlace, type Description } from './batch.ts';
import { readBatchHeader, readPatchHeader } from './container.ts';
import { readSegments } from './elf.ts';
import { readerOf } from './group.ts';
import { createGroupCrew } from './groupcrew.ts';
import { decodeSourceMembers, inflateMembers } from './sourcemembers.ts';
import { createStreamDecoder } from './streamcoder.ts';
import { STREAMS } from './streams.ts';
import { createOpenFiles, type Space, type SpaceParts } from './space.ts';

export interface DecodeOptions {
  /** Path and size of the source's layer stream. */
  readonly source: { readonly path: string; readonly size: number };
  /** Bytes of the target's layer stream. */
  readonly targetSize: number;
  /** A directory for the contents of members of the source. */
  readonly scratch: string;
  /** By default 2 for large targets, else 0: everything in this thread. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** Targets from so many bytes on are worth threads. */
const MIN_SHARED = 16 * 1024 ** 2;
const THREADS = 2;
const MIN_PROGRAM = 64 * 1024;

/**
 * Yields the target's layer stream, a group at a time. Each group has been compared with its checksum.
 *
 * @throws PanamaxError `bad-patch`
 */
export async function* decodeNative(
  patch: AsyncIterable<Uint8Array>,
  options: DecodeOptions,
): AsyncGenerator<Uint8Array, void> {
  const { source, targetSize, scratch, signal } = options;
  const { threads = targetSize < MIN_SHARED ? 0 : THREADS } = options;
  const reader = new PatchReader(patch);
  try {
    const header = await readPatchHeader(reader);
    const members = decodeSourceMembers(header.members, source.size, targetSize);
    const parts: SpaceParts[number][] = [{ path: source.path, offset: 0, size: source.size }];
    if (members.length > 0) {
      const path = join(scratch, 'inflated');
      inflateMembers(source.path, members, path);
      parts.push({ path, offset: 0, size: members.reduce((sum, { size }) => sum + size, 0) });
    }
    using files = createOpenFiles();
    const space = files.space(parts);
    await using crew = createGroupCrew(parts, threads, signal);
    const streams = Array.from({ length: STREAMS }, (_, i) => createStreamDecoder(i, header.coding));
    const models = new BatchModels();
    const waiting: Promise<Uint8Array>[] = [];
    const most = MAX_RATIO * targetSize + MIN_PROGRAM;
    let start = 0;
    let built = 0;

    function checked(bytes: Uint8Array): Uint8Array {
      built += bytes.length;
      if (built > targetSize) throw tooLong(targetSize);
      return bytes;
    }

    for (let coded = await readBatchHeader(reader); coded; coded = await readBatchHeader(reader)) {
      const { batch, groups, stored } = readBatch(coded, models, space, { start, most: most - start });
      const open = crew.open(batch);
      for (const [i, stream] of streams.entries()) {
        const size = groups.reduce((sum, { parts }) => sum + parts[i]!, 0);
        stream.open(await reader.take(stored[i]!), size);
      }
      let at = 0;
      for (const { size, parts, operands, checksum } of groups) {
        signal?.throwIfAborted();
        const work = {
          parts: streams.map((stream, i) => stream.take(parts[i]!)),
          operands: await reader.take(operands),
          checksum,
        };
        const done = open.decode({ start: at, size }, work).then(({ bytes }) => bytes);
        // awaited later
        done.catch(() => undefined);
        waiting.push(done);
        at += size;
        if (waiting.length >= crew.concurrency) yield checked(await waiting.shift()!);
      }
      for (const stream of streams) stream.close();
      start += at;
    }
    for (const done of waiting) yield checked(await done);
  } finally {
    await reader.close();
  }
}

function readBatch(
  coded: Uint8Array,
  models: BatchModels,
  space: Space,
  place: Pick<BatchPlace, 'start' | 'most'>,
): Description {
  const coder = new BitDecoder(coded);
  const segmentsOf = (offset: number, size: number) => readSegments(readerOf(space, offset, size));
  const batch = { ...place, sourceSize: space.size };
  const description = codeBatch(coder, models, undefined, batch, segmentsOf);
  coder.checkEnd();
  return description;
}

function tooLong(targetSize: number): PanamaxError {
  return new PanamaxError('bad-patch', 'the target is too long', { expected: `at most ${targetSize} bytes` });
}
