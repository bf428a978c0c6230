/** Bytes of a seed: what has to be equal for a place to be found. */
export const SEED = 8;

/** Entries of an index at most. */
export const MAX_ENTRIES = 2 ** 23;
/** Of the number of slots, as a power of two. Entries and slots take 4 bytes each. */
const MAX_BITS = 21;
/** So many entries share a slot, as a power of two: a table of slots that is small is quick to fill. */
const SHARED_BITS = 2;
/** An entry is an offset and, above it, hash bits that the slot does not tell. Buffers are up to 32 MiB. */
const OFFSET_BITS = 25;
const TAG_BITS = 32 - OFFSET_BITS;

/** A bit of the filter stands for so many more bits of a hash than a slot does, up to FILTER_BITS in all. */
const FILTERED = 5;
const FILTER_BITS = 24;

/**
 * An index of 8-byte seeds. What has one hash stands together in the order of the buffer:
 * entries[starts[slot], starts[slot + 1]). Most look-ups find nothing, which one bit of the filter tells: it fits the
 * cache that the tables do not fit. An index is valid until its tables are used for another.
 */
export interface SeedIndex {
  /** Bytes of the buffer from one entry to the next at least. */
  readonly step: number;
  readonly shift: number;
  readonly starts: Int32Array;
  readonly entries: Int32Array;
  readonly filterShift: number;
  readonly filter: Int32Array;
}

const MAX_STARTS = 2 ** MAX_BITS + 2;
/** What the tables of an index take at most, in bytes. */
export const MAX_INDEX_SIZE = 4 * (MAX_STARTS + MAX_ENTRIES) + 2 ** (FILTER_BITS - 3);

/** The memory of one index after the other. */
export class SeedTables {
  readonly #starts: Int32Array;
  readonly #entries: Int32Array;
  readonly #filter: Int32Array;

  constructor(memory = new ArrayBuffer(MAX_INDEX_SIZE), offset = 0) {
    this.#starts = new Int32Array(memory, offset, MAX_STARTS);
    this.#entries = new Int32Array(memory, offset + 4 * MAX_STARTS, MAX_ENTRIES);
    this.#filter = new Int32Array(memory, offset + 4 * (MAX_STARTS + MAX_ENTRIES), 2 ** (FILTER_BITS - 5));
  }

  /** Indexes every `step`-th offset. They are sorted by slot: counted first, then put where they belong. */
  index(data: DataView, step: number): SeedIndex {
    const end = data.byteLength - SEED + 1;
    const count = Math.max(0, Math.ceil(end / step));
    const bits = Math.min(MAX_BITS, Math.max(8, Math.floor(Math.log2(count + 1)) - SHARED_BITS));
    const shift = 32 - bits;
    // one more than the slots while they are counted, and another for the end of the last
    const starts = this.#starts.subarray(0, 2 ** bits + 2).fill(0);
    const entries = this.#entries;
    const filterBits = Math.min(FILTER_BITS, bits + FILTERED);
    const filterShift = 32 - filterBits;
    const filter = this.#filter.subarray(0, 2 ** (filterBits - 5)).fill(0);
    for (let at = 0, before = -1; at < end; at += step) {
      const slot = hashAt(data, at) >>> shift;
      if (slot !== before) starts[slot + 2]!++;
      before = slot;
    }
    for (let slot = 2; slot < starts.length; slot++) starts[slot]! += starts[slot - 1]!;
    for (let at = 0, before = -1; at < end; at += step) {
      const hash = hashAt(data, at);
      const slot = hash >>> shift;
      // of a run of equal seeds only the first is entered
      if (slot !== before) entries[starts[slot + 1]!++] = at | (tagOf(hash, shift) << OFFSET_BITS);
      filter[hash >>> (filterShift + 5)]! |= 1 << (hash >>> filterShift);
      before = slot;
    }
    return { step, shift, starts, entries, filterShift, filter };
  }
}

export function offsetOf(entry: number): number {
  return entry & (2 ** OFFSET_BITS - 1);
}

/** Whether an entry can be of a seed with this hash. */
export function isTagged(entry: number, hash: number, shift: number): boolean {
  return entry >>> OFFSET_BITS === tagOf(hash, shift);
}

function tagOf(hash: number, shift: number): number {
  return (hash >>> (shift - TAG_BITS)) & (2 ** TAG_BITS - 1);
}

function hashAt(data: DataView, offset: number): number {
  return seedHash(data.getInt32(offset, true), data.getInt32(offset + 4, true));
}

export function seedHash(low: number, high: number): number {
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
}
