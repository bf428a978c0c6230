import type { Effort } from '../../align/alignment.ts';
import { BitEncoder } from './bitcoder.ts';
import { BatchModels, codeBatch } from './batch.ts';
import { writeBatchHeader, writePatchHeader } from './container.ts';
import { cutBatches, type Plan, type PlannedBatch } from './cut.ts';
import { LZMA, ZSTD } from './streamcoder.ts';
import { createStreamCrew } from './streamcrew.ts';
import { STREAMS } from './streams.ts';
import { createGroupCrew } from './groupcrew.ts';
import type { EncodedGroup } from './groupjob.ts';
import type { PlannedPatch } from './plan.ts';
import type { GroupPlace } from './group.ts';
import { encodeSourceMembers } from './sourcemembers.ts';
import type { SpaceParts } from './space.ts';

export interface EncodeOptions extends PlannedPatch {
  /** JSON. */
  readonly recipe: Buffer;
  /** Path of the target's layer stream. */
  readonly target: string;
  readonly effort: Effort;
  /** By default 2 for large targets, else 0: everything in this thread. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

const MIN_SHARED = 16 * 1024 ** 2;
const THREADS = 2;
/** New bytes from which on time counts more than the last percents, and on which two threads work. */
const MUCH = 2 * 1024 ** 2;
/** Batches that are encoded ahead of the one that is written. */
const AHEAD = 2;

/** Yields a patch of the format `panamax`. */
export async function* encodeNative(options: EncodeOptions): AsyncGenerator<Uint8Array, void> {
  const { plan, source, sourceMembers, recipe, effort, signal } = options;
  const { threads = plan.size < MIN_SHARED ? 0 : THREADS } = options;
  const coding = effort === 'fast' ? ZSTD : LZMA;
  yield writePatchHeader({ coding, recipe, members: encodeSourceMembers(sourceMembers) });
  const sourceSize = source.reduce((sum, { size }) => sum + size, 0);
  const models = new BatchModels();
  const much = freshSize(plan) > MUCH;
  await using groups = createGroupCrew(source, threads, signal);
  await using streams = createStreamCrew({ effort, much }, threads === 0 ? 0 : much ? 2 : 1, signal);
  const waiting: Promise<Uint8Array[]>[] = [];

  /** Descriptions are coded and streams handed over in order: each goes on from the batch before. */
  let turn: Promise<unknown> = Promise.resolve();
  const describe = (batch: PlannedBatch, encoded: readonly EncodedGroup[], stored: readonly number[]) => {
    const coder = new BitEncoder();
    const groups = encoded.map(({ parts, operands, checksum }, i) => ({
      size: batch.groups[i]!.size,
      parts: parts.map(({ length }) => length),
      operands: operands.length,
      checksum,
    }));
    codeBatch(
      coder,
      models,
      { batch, groups, stored },
      { start: batch.start, sourceSize, most: Infinity },
      () => [],
    );
    return coder.finish();
  };

  async function encodeBatch(batch: PlannedBatch): Promise<Uint8Array[]> {
    const before = turn;
    const open = groups.open(batch);
    const encoding = Promise.all(
      batch.groups.map((place) => open.encode(place, workFor(options, batch, place))),
    );
    const compressing = Promise.all([encoding, before]).then(([encoded]) => ({
      done: streams.compress(joinedParts(encoded)),
    }));
    turn = compressing;
    const encoded = await encoding;
    const compressed = await (await compressing).done;
    return [
      writeBatchHeader(
        describe(
          batch,
          encoded,
          compressed.map(({ length }) => length),
        ),
      ),
      ...compressed,
      ...encoded.map(({ operands }) => operands),
    ].filter(({ length }) => length > 0);
  }

  for (const batch of cutBatches(plan)) {
    signal?.throwIfAborted();
    const done = encodeBatch(batch);
    // awaited later
    done.catch(() => undefined);
    waiting.push(done);
    if (waiting.length > AHEAD) yield* await waiting.shift()!;
  }
  for (const done of waiting) yield* await done;
  yield writeBatchHeader();
}

function joinedParts(encoded: readonly EncodedGroup[]): Uint8Array[] {
  return Array.from({ length: STREAMS }, (_, stream) =>
    Buffer.concat(encoded.map(({ parts }) => parts[stream]!)),
  );
}

function freshSize({ size, operations }: Plan): number {
  return operations.length.reduce((left, length) => left - length, size);
}

function workFor({ program, plan, target }: EncodeOptions, batch: PlannedBatch, place: GroupPlace) {
  const start = batch.start + place.start;
  const end = start + place.size;
  const from = inStream(plan, start);
  return {
    program: clippedParts(program, start, end),
    stored: [{ path: target, offset: from, size: inStream(plan, end) - from }],
  };
}

/** An offset of the program, outside of members, in the layer stream. */
function inStream({ members }: Plan, offset: number): number {
  const before = members.findLast(({ start, size }) => start + size <= offset);
  return before ? offset - before.start - before.size + before.at + before.stored : offset;
}

function clippedParts(parts: SpaceParts, start: number, end: number): SpaceParts {
  const clipped: SpaceParts[number][] = [];
  let at = 0;
  for (const { path, offset, size } of parts) {
    const from = Math.max(start, at);
    const to = Math.min(end, at + size);
    if (from < to) clipped.push({ path, offset: offset + from - at, size: to - from });
    at += size;
  }
  return clipped;
}
