import type { Alignments } from './alignment.ts';

/** Capacity of an empty list, in items. */
const ROOM = 256;

/** A growing list of alignments in columns; see `Alignments` for their meaning. */
export class AlignmentBuilder {
  count = 0;
  target: Float64Array<ArrayBuffer>;
  source: Float64Array<ArrayBuffer>;
  length: Float64Array<ArrayBuffer>;
  exact: Uint8Array<ArrayBuffer>;

  /** @param room for so many items at first */
  constructor(room = ROOM) {
    this.target = new Float64Array(room);
    this.source = new Float64Array(room);
    this.length = new Float64Array(room);
    this.exact = new Uint8Array(room);
  }

  push(target: number, source: number, length: number, exact: number): void {
    if (length <= 0) return;
    if (this.count === this.exact.length) this.#resize(2 * this.count);
    const i = this.count++;
    this.target[i] = target;
    this.source[i] = source;
    this.length[i] = length;
    this.exact[i] = exact;
  }

  append(other: Alignments): void {
    const { count } = this;
    this.count += other.count;
    if (this.count > this.exact.length) this.#resize(Math.max(this.count, 2 * count));
    for (const column of ['target', 'source', 'length', 'exact'] as const)
      this[column].set(other[column].subarray(0, other.count), count);
  }

  /** Moves the items out, in memory of exactly their size. */
  items(): Alignments {
    const { count } = this;
    this.#resize(count);
    const { target, source, length, exact } = this;
    this.count = 0;
    this.target = new Float64Array(ROOM);
    this.source = new Float64Array(ROOM);
    this.length = new Float64Array(ROOM);
    this.exact = new Uint8Array(ROOM);
    return { count, target, source, length, exact };
  }

  /** Frees the old memory at once: the garbage collector would keep as much again. */
  #resize(room: number): void {
    this.target = new Float64Array(this.target.buffer.transfer(8 * room));
    this.source = new Float64Array(this.source.buffer.transfer(8 * room));
    this.length = new Float64Array(this.length.buffer.transfer(8 * room));
    this.exact = new Uint8Array(this.exact.buffer.transfer(room));
  }
}

/**
 * Sorts alignments by target, cuts overlaps there (the earlier item wins) and joins neighbours with the same distance
 * and exactness. The result does not depend on the order of the items.
 */
export function sortAndMerge(items: Alignments): Alignments {
  const out = new AlignmentBuilder(Math.max(ROOM, items.count));
  let end = 0;
  for (const i of ascending(items)) {
    const cut = Math.max(0, end - items.target[i]!);
    const target = items.target[i]! + cut;
    const source = items.source[i]! + cut;
    const length = items.length[i]! - cut;
    if (length <= 0) continue;
    const last = out.count - 1;
    const joins =
      last >= 0 &&
      end === target &&
      source === out.source[last]! + out.length[last]! &&
      out.exact[last] === items.exact[i];
    if (joins) out.length[last]! += length;
    else out.push(target, source, length, items.exact[i]!);
    end = target + length;
  }
  return out.items();
}

/** The indexes of items by target, then source and length. Merges the runs that ascend, of which most lists have few. */
function ascending({ count, target, source, length }: Alignments): Uint32Array {
  const isBehind = (a: number, b: number) =>
    (target[a]! - target[b]! || source[a]! - source[b]! || length[a]! - length[b]!) > 0;
  let order = new Uint32Array(count).map((_, i) => i);
  /** Where each run starts, and the end of the last one. */
  let bounds = [0];
  for (let i = 1; i < count; i++) if (isBehind(i - 1, i)) bounds.push(i);
  bounds.push(count);
  let merged = new Uint32Array(bounds.length > 2 ? count : 0);
  while (bounds.length > 2) {
    for (let run = 0; run + 1 < bounds.length; run += 2) {
      const [start, middle, end] = [bounds[run]!, bounds[run + 1]!, bounds[run + 2] ?? count];
      let left = start;
      let right = middle;
      for (let to = start; to < end; to++) {
        const isRight = left === middle || (right < end && isBehind(order[left]!, order[right]!));
        merged[to] = order[isRight ? right++ : left++]!;
      }
    }
    [order, merged] = [merged, order];
    bounds = [...bounds.filter((_, i) => i % 2 === 0 && i < bounds.length - 1), count];
  }
  return order;
}

/** The parts of alignments within the allowed source ranges [start, end, start, end, …], ascending. */
export function clip(items: Alignments, allowed: Float64Array): Alignments {
  const out = new AlignmentBuilder();
  for (let i = 0; i < items.count; i++) {
    const source = items.source[i]!;
    const end = source + items.length[i]!;
    for (let k = firstEndingAfter(allowed, source); k < allowed.length && allowed[k]! < end; k += 2) {
      const from = Math.max(source, allowed[k]!);
      const to = Math.min(end, allowed[k + 1]!);
      out.push(items.target[i]! + from - source, from, to - from, items.exact[i]!);
    }
  }
  return out.items();
}

/** The parts of alignments that do not overlap others in the target. */
export function outside(items: Alignments, others: Alignments): Alignments {
  const out = new AlignmentBuilder();
  let next = 0;
  for (let i = 0; i < items.count; i++) {
    let at = items.target[i]!;
    const end = at + items.length[i]!;
    const distance = items.source[i]! - at;
    while (next < others.count && others.target[next]! + others.length[next]! <= at) next++;
    for (let k = next; at < end; k++) {
      const stop = k < others.count ? Math.min(end, others.target[k]!) : end;
      out.push(at, at + distance, stop - at, items.exact[i]!);
      at = k < others.count ? Math.max(at, others.target[k]! + others.length[k]!) : end;
    }
  }
  return out.items();
}

/** Index in `ranges` of the first range that ends behind `offset`. */
export function firstEndingAfter(ranges: Float64Array, offset: number): number {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[2 * middle + 1]! > offset) high = middle;
    else low = middle + 1;
  }
  return 2 * low;
}
