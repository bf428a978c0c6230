/** Bytes of a seed: what has to be equal for a place to be found. */
export const SEED = 8;

/** Entries of an index at most. */
export const MAX_ENTRIES = 2 ** 23;
/** Of the number of slots, as a power of two. Entries and slots take 4 bytes each. */
const MAX_BITS = 23;

/**
 * An index of 8-byte seeds: `head[slot]` is 1 + the number of the first entry with that hash, `next[entry]` links
 * the others, in the order of the buffer. `at[entry]` is where it stands, or entry * step where there is no `at`.
 * It is valid until its tables are used for another.
 */
export interface SeedIndex {
  readonly shift: number;
  readonly step: number;
  readonly head: Int32Array;
  readonly next: Int32Array;
  readonly at: Int32Array | undefined;
}

/** Indexes every `step`-th offset of the whole buffer. */
export function indexSeeds(data: DataView, step: number, tables: SeedTables): SeedIndex {
  const count = data.byteLength < SEED ? 0 : Math.floor((data.byteLength - SEED) / step) + 1;
  const { head, next, shift } = tables.for(count);
  for (let entry = count - 1, before = -1; entry >= 0; entry--) {
    before = enter(head, next, entry, slotAt(data, entry * step, shift), before);
  }
  return { shift, step, head, next, at: undefined };
}

/** Indexes the offsets in blocks of `blockSize` bytes that are not marked; coarser where there are too many. */
export function indexUnmarked(
  data: DataView,
  marked: Uint8Array,
  blockSize: number,
  maxEntries: number,
  tables: SeedTables,
): SeedIndex {
  let blocks = 0;
  for (const mark of marked) if (mark === 0) blocks++;
  let step = 1;
  while ((blocks * blockSize) / step > maxEntries) step *= 2;
  const at = tables.places;
  const last = data.byteLength - SEED;
  let count = 0;
  for (let block = 0; block < marked.length; block++) {
    if (marked[block] !== 0) continue;
    const end = Math.min((block + 1) * blockSize, last + 1);
    for (let offset = block * blockSize; offset < end; offset += step) at[count++] = offset;
  }
  const { head, next, shift } = tables.for(count);
  for (let entry = count - 1, before = -1; entry >= 0; entry--) {
    before = enter(head, next, entry, slotAt(data, at[entry]!, shift), before);
  }
  return { shift, step, head, next, at };
}

/** What the tables of an index take at most, in bytes. */
export const MAX_INDEX_SIZE = 4 * (2 ** MAX_BITS + 2 * MAX_ENTRIES);

/** The memory of one index after the other. */
export class SeedTables {
  readonly #heads: Int32Array;
  readonly #nexts: Int32Array;
  readonly places: Int32Array;

  constructor(memory = new ArrayBuffer(MAX_INDEX_SIZE), offset = 0) {
    this.#heads = new Int32Array(memory, offset, 2 ** MAX_BITS);
    this.#nexts = new Int32Array(memory, offset + 4 * 2 ** MAX_BITS, MAX_ENTRIES);
    this.places = new Int32Array(memory, offset + 4 * (2 ** MAX_BITS + MAX_ENTRIES), MAX_ENTRIES);
  }

  for(count: number): { head: Int32Array; next: Int32Array; shift: number } {
    const bits = Math.min(MAX_BITS, Math.max(8, Math.floor(Math.log2(count + 1))));
    const head = this.#heads.subarray(0, 2 ** bits).fill(0);
    return { head, next: this.#nexts.subarray(0, count), shift: 32 - bits };
  }
}

/** Returns the slot. Of a run of equal seeds only the first and the last stay in the chain. */
function enter(head: Int32Array, next: Int32Array, entry: number, slot: number, before: number): number {
  next[entry] = slot === before && head[slot] === entry + 2 && entry > 0 ? next[entry + 1]! : head[slot]!;
  head[slot] = entry + 1;
  return slot;
}

function slotAt(data: DataView, offset: number, shift: number): number {
  return seedSlot(data.getInt32(offset, true), data.getInt32(offset + 4, true), shift);
}

export function seedSlot(low: number, high: number, shift: number): number {
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> shift;
}
