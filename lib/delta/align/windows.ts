import { closeSync, openSync } from 'node:fs';
import { readExactly } from '../../runtime/blocking.ts';
import type { Alignments, Effort } from './alignment.ts';
import { alignBuffers, createWorkspace } from './alignbuffers.ts';
import { Draft } from './alignmentlist.ts';
import { MAX_INDEX_SIZE, SeedTables } from './seedindex.ts';

/** Part of a layer stream, in bytes. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
}

/** A stretch of the target and the one of the source that it is to be aligned with. */
export interface StretchPair {
  readonly source: Stretch;
  readonly target: Stretch;
  /** Instead of the task's. */
  readonly effort?: 'fast';
}

export interface AlignTask {
  /** Paths of the layer streams. */
  readonly source: string;
  readonly target: string;
  readonly pairs: StretchTable;
  /** Shared between threads with the same pairs: the index of the pair that is to be aligned next. */
  readonly next: Int32Array<SharedArrayBuffer>;
  readonly effort: Effort;
}

/**
 * The most that is aligned at once, in bytes of either side. Of what is larger half of this is aligned with so much
 * of the source: more would mean a coarser index, which loses more than what lies farther away is worth.
 */
const MAX_ALIGNED = 24 * 1024 ** 2;

/**
 * What is to be aligned, the largest parts of the target first, so that no thread is left alone at the end. In numbers,
 * which threads share: there may be a pair for every file.
 */
export interface StretchTable {
  readonly count: number;
  /** Bytes of the target in all. */
  readonly size: number;
  /** FIELDS for each pair: where the source starts and ends, then the target, and 1 where effort is `fast` instead. */
  readonly fields: Float64Array<SharedArrayBuffer>;
}

const FIELDS = 5;

export function tableOf(pairs: Iterable<StretchPair>): StretchTable {
  let fields = new Float64Array(FIELDS * 1024);
  let count = 0;
  let size = 0;
  for (const pair of pairs) {
    for (const { source, target, effort } of windowsOf(pair)) {
      const at = FIELDS * count++;
      if (at === fields.length) fields = widened(fields);
      fields[at] = source.start;
      fields[at + 1] = source.end;
      fields[at + 2] = target.start;
      fields[at + 3] = target.end;
      fields[at + 4] = effort === 'fast' ? 1 : 0;
      size += target.end - target.start;
    }
  }
  const sizeAt = (i: number) => fields[FIELDS * i + 3]! - fields[FIELDS * i + 2]!;
  const order = new Uint32Array(count).map((_, i) => i).sort((a, b) => sizeAt(b) - sizeAt(a));
  const sorted = new Float64Array(new SharedArrayBuffer(8 * FIELDS * count));
  for (const [i, from] of order.entries())
    sorted.set(fields.subarray(FIELDS * from, FIELDS * (from + 1)), FIELDS * i);
  return { count, size, fields: sorted };
}

function widened(fields: Float64Array): Float64Array<ArrayBuffer> {
  const wider = new Float64Array(2 * fields.length);
  wider.set(fields);
  return wider;
}

function pairAt({ fields }: StretchTable, i: number): StretchPair {
  const [sourceStart, sourceEnd, start, end, isFast] = fields.subarray(FIELDS * i, FIELDS * (i + 1));
  return {
    source: { start: sourceStart!, end: sourceEnd! },
    target: { start: start!, end: end! },
    ...(isFast === 1 && { effort: 'fast' }),
  };
}

/** A pair in parts that fit memory: parts of the target, each with what of the source is about there. */
function windowsOf(pair: StretchPair): StretchPair[] {
  const { source, target, ...rest } = pair;
  const size = target.end - target.start;
  const sourceSize = source.end - source.start;
  if (size <= MAX_ALIGNED && sourceSize <= MAX_ALIGNED) return [pair];
  const windows: StretchPair[] = [];
  for (let at = 0; at < size; at += MAX_ALIGNED / 2) {
    const end = Math.min(size, at + MAX_ALIGNED / 2);
    const middle = Math.round((sourceSize * (at + end)) / 2 / size);
    const low = Math.max(0, Math.min(middle - MAX_ALIGNED / 2, sourceSize - MAX_ALIGNED));
    const high = Math.min(sourceSize, low + MAX_ALIGNED);
    windows.push({
      ...rest,
      source: { start: source.start + low, end: source.start + high },
      target: { start: target.start + at, end: target.start + end },
    });
  }
  return windows;
}

/** Aligns pairs, one after the other, as long as there are some that nobody has taken. */
export function alignPairs({ source, target, pairs, next, effort }: AlignTask): Alignments {
  const draft = new Draft();
  const sourceFd = openSync(source, 'r');
  const targetFd = openSync(target, 'r');
  // all memory in one piece
  const memory = new ArrayBuffer(2 * MAX_ALIGNED + MAX_INDEX_SIZE);
  const from = new Uint8Array(memory, 0, MAX_ALIGNED);
  const to = new Uint8Array(memory, MAX_ALIGNED, MAX_ALIGNED);
  const workspace = createWorkspace(new SeedTables(memory, 2 * MAX_ALIGNED));
  try {
    for (let i = Atomics.add(next, 0, 1); i < pairs.count; i = Atomics.add(next, 0, 1)) {
      const pair = pairAt(pairs, i);
      const found = alignBuffers(
        readStretch(sourceFd, pair.source, from),
        readStretch(targetFd, pair.target, to),
        pair.effort ?? effort,
        workspace,
      );
      draft.append(found, pair.target.start, pair.source.start);
    }
    return draft.items();
  } finally {
    closeSync(sourceFd);
    closeSync(targetFd);
    // without waiting for the collector
    memory.transfer(0);
  }
}

function readStretch(fd: number, { start, end }: Stretch, into: Uint8Array): Uint8Array {
  const bytes = into.subarray(0, end - start);
  readExactly(fd, bytes, start);
  return bytes;
}
