import { createOpenFiles, type FileParts } from '../../runtime/space.ts';
import type { Alignments, Effort } from './alignment.ts';
import { createAligner } from './aligner.ts';
import { AlignmentBuilder } from './alignmentlist.ts';

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
  /** The layer streams. */
  readonly source: FileParts;
  readonly target: FileParts;
  readonly pairs: StretchTable;
  /** Shared between threads with the same pairs: the index of the pair that is to be aligned next. */
  readonly next: Int32Array<SharedArrayBuffer>;
  readonly effort: Effort;
}

/**
 * Most bytes of either side that are aligned at once. A larger target is cut into parts of half this size, each
 * aligned with this much of the source: more would need a coarser index, which loses more than distant content gains.
 */
const MAX_ALIGNED = 24 * 1024 ** 2;

/**
 * Pairs of stretches to align, the largest parts of the target first, so that threads end at about the same time.
 * Stored as numbers in shared memory, because there may be a pair for every file.
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

/** Cuts a pair into parts that fit memory: parts of the target, each with the nearby part of the source. */
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

/** Takes and aligns one pair after the other until none is left. */
export function alignPairs({ source, target, pairs, next, effort }: AlignTask): Alignments {
  const builder = new AlignmentBuilder();
  using files = createOpenFiles();
  const sourceSpace = files.space(source);
  const targetSpace = files.space(target);
  const aligner = createAligner(largestStretch(pairs));
  for (let i = Atomics.add(next, 0, 1); i < pairs.count; i = Atomics.add(next, 0, 1)) {
    const { source: from, target: to, effort: own = effort } = pairAt(pairs, i);
    sourceSpace.read(aligner.source(from.end - from.start), from.start);
    targetSpace.read(aligner.target(to.end - to.start), to.start);
    aligner.align(own, builder, from.start, to.start);
  }
  return builder.items();
}

/** Size of the largest stretch of either side in bytes. */
function largestStretch(pairs: StretchTable): number {
  let largest = 0;
  for (let i = 0; i < pairs.count; i++) {
    const { source, target } = pairAt(pairs, i);
    largest = Math.max(largest, source.end - source.start, target.end - target.start);
  }
  return largest;
}
