import { join } from 'node:path';
import { PanamaxError } from '../../../errors.ts';
import { PatchReader } from '../../patchreader.ts';
import { BitDecoder } from './bitcoder.ts';
import { BatchModels, codeBatch, MAX_RATIO, MIN_GROUP, type BatchPlace, type Description } from './batch.ts';
import { readDescription, readHead, readPatchHeader } from './container.ts';
import { readSegments } from './elf.ts';
import { readerOf } from './group.ts';
import { createGroupCrew, type GroupCrew } from './groupcrew.ts';
import { free } from '../../../runtime/memory.ts';
import { codeSection, SectionModels, sum, type Section } from './section.ts';
import { decodeSourceMembers, inflateMembers } from './sourcemembers.ts';
import { createStreamDecoder, isMixed } from './streamcoder.ts';
import { STREAMS } from './streams.ts';
import { createOpenFiles, sizeOfParts, type FileParts, type Space } from '../../../runtime/space.ts';

export interface DecodeOptions {
  /** The source's layer stream. */
  readonly source: FileParts;
  /** Bytes of the target's layer stream. */
  readonly targetSize: number;
  /** A directory for the contents of members of the source. */
  readonly scratch: string;
  /** By default 1 for large targets, else 0: everything in this thread. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** Targets from so many bytes on are worth a thread beside this one, which decompresses. */
const MIN_SHARED = 16 * 1024 ** 2;
const THREADS = 1;
const MIN_PROGRAM = 64 * 1024;

/**
 * Yields the target's layer stream, a group at a time: each piece is valid only until the next one is asked for. Each group
 * has been compared with its checksum, if it has one.
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
    const members = decodeSourceMembers(header.members, sizeOfParts(source), targetSize);
    const parts = [...source];
    using files = createOpenFiles();
    if (members.length > 0) {
      const path = join(scratch, 'inflated');
      inflateMembers(files.space(source), members, path);
      parts.push({ path, offset: 0, size: sum(members.map(({ size }) => size)) });
    }
    // mixed groups depend on those before them
    const building = isMixed(header.coding) ? Math.min(1, threads) : threads;
    await using crew = createGroupCrew(parts, building, signal);
    const waiting: Promise<Uint8Array>[] = [];
    let built = 0;

    async function* oldest(): AsyncGenerator<Uint8Array, void> {
      const bytes = await waiting.shift()!;
      built += bytes.length;
      if (built > targetSize) throw tooLong(targetSize);
      yield bytes;
      free(bytes);
    }

    const jobs = readGroups(reader, header.coding, files.space(parts), targetSize, crew);
    for await (const done of jobs) {
      signal?.throwIfAborted();
      waiting.push(done.bytes);
      if (waiting.length >= crew.concurrency) yield* oldest();
    }
    while (waiting.length > 0) yield* oldest();
  } finally {
    await reader.close();
  }
}

/** Reads a patch behind its header, and starts to build each group. */
async function* readGroups(
  reader: PatchReader,
  coding: number,
  space: Space,
  targetSize: number,
  crew: GroupCrew,
): AsyncGenerator<{ readonly bytes: Promise<Uint8Array> }, void> {
  const streams = Array.from({ length: STREAMS }, (_, i) => createStreamDecoder(i, coding));
  const batchModels = new BatchModels();
  const sectionModels = new SectionModels();
  const most = MAX_RATIO * targetSize + MIN_PROGRAM;
  let start = 0;
  let isLast = false;
  for (let coded = await readDescription(reader); coded; coded = await readDescription(reader)) {
    const { batch, sizes } = readBatch(coded, batchModels, space, { start, most: most - start });
    const open = crew.open(batch);
    let at = 0;
    for (let next = 0; next < sizes.length;) {
      const { groups, stored } = await readSection(reader, sectionModels, sizes.slice(next));
      for (const [i, stream] of streams.entries()) {
        stream.open(await reader.take(stored[i]!), sum(groups.map(({ parts }) => parts[i]!)));
      }
      for (const { parts, operands, checksum } of groups) {
        const size = sizes[next++]!;
        if (isLast) throw new PanamaxError('bad-patch', 'a group too small', { expected: MIN_GROUP });
        isLast = size < MIN_GROUP;
        const work = {
          isMixed: isMixed(coding),
          parts: streams.map((stream, i) => stream.take(parts[i]!)),
          operands: await reader.take(operands),
          checksum,
        };
        const bytes = open.decode({ start: at, size }, work).then((group) => group.bytes);
        // awaited later
        bytes.catch(() => undefined);
        at += size;
        yield { bytes };
      }
      for (const stream of streams) stream.close();
    }
    start += at;
  }
}

async function readSection(
  reader: PatchReader,
  models: SectionModels,
  sizes: readonly number[],
): Promise<Section> {
  const coded = await readHead(reader);
  if (!coded) throw new PanamaxError('bad-patch', 'a batch ends early');
  const coder = new BitDecoder(coded);
  const section = codeSection(coder, models, undefined, sizes);
  coder.checkEnd();
  return section;
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
