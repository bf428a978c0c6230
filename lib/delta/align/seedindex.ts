/** Bytes of a seed. A place is found if this many bytes are equal. */
export const SEED = 8;

/** Entries of an index at most. */
export const MAX_ENTRIES = 2 ** 23;
/** Binary logarithm of the number of slots at most. Entries and slots take 4 bytes each. */
const MAX_BITS = 21;
/** Binary logarithm of the entries per slot: a small table of slots is quick to fill. */
const SHARED_BITS = 2;
/** An entry is an offset with further bits of the hash above it. Buffers have at most 32 MiB. */
const OFFSET_BITS = 25;
const TAG_BITS = 32 - OFFSET_BITS;

/** Bits of the hash that the filter distinguishes beyond those of a slot, up to FILTER_BITS in all. */
const FILTERED = 5;
const FILTER_BITS = 24;

/**
 * An index of 8-byte seeds. Seeds of one slot are adjacent, in the order of the buffer:
 * entries[starts[slot], starts[slot + 1]). Most look-ups find nothing and end at a bit of the filter, which fits the
 * processor's cache while the tables do not. An index is valid until its tables are used for another one.
 */
export interface SeedIndex {
  /** Least distance between entries, in bytes of the buffer. */
  readonly step: number;
  readonly shift: number;
  readonly starts: Int32Array;
  readonly entries: Int32Array;
  readonly filterShift: number;
  readonly filter: Int32Array;
}

/** Lengths of the tables of an index with so many entries. */
function lengthsFor(count: number): { bits: number; starts: number; entries: number; filter: number } {
  const bits = Math.min(MAX_BITS, Math.max(8, Math.floor(Math.log2(count + 1)) - SHARED_BITS));
  const filterBits = Math.min(FILTER_BITS, bits + FILTERED);
  // one start more for counting, and one for the end of the last slot
  return { bits, starts: 2 ** bits + 2, entries: count, filter: 2 ** (filterBits - 5) };
}

/** Size of the tables of indexes of buffers of up to `size` bytes, in bytes. */
export function tablesSize(size: number): number {
  const { starts, entries, filter } = lengthsFor(Math.min(MAX_ENTRIES, size));
  return 4 * (starts + entries + filter);
}

/** Memory that successive indexes share. */
export class SeedTables {
  readonly #starts: Int32Array;
  readonly #entries: Int32Array;
  readonly #filter: Int32Array;

  /**
   * @param size of the largest buffer that is indexed, in bytes
   * @param memory at least `tablesSize(size)` bytes from `offset` on, which is a multiple of 4
   */
  constructor(size: number, memory = new ArrayBuffer(tablesSize(size)), offset = 0) {
    const { starts, entries, filter } = lengthsFor(Math.min(MAX_ENTRIES, size));
    this.#starts = new Int32Array(memory, offset, starts);
    this.#entries = new Int32Array(memory, offset + 4 * starts, entries);
    this.#filter = new Int32Array(memory, offset + 4 * (starts + entries), filter);
  }

  /** Indexes every `step`-th offset by a counting sort over the slots. */
  index(data: DataView, step: number): SeedIndex {
    const end = data.byteLength - SEED + 1;
    const count = Math.max(0, Math.ceil(end / step));
    const lengths = lengthsFor(count);
    const shift = 32 - lengths.bits;
    const starts = this.#starts.subarray(0, lengths.starts).fill(0);
    const entries = this.#entries;
    const filterShift = 32 - Math.min(FILTER_BITS, lengths.bits + FILTERED);
    const filter = this.#filter.subarray(0, lengths.filter).fill(0);
    for (let at = 0, before = -1; at < end; at += step) {
      const slot = hashAt(data, at) >>> shift;
      if (slot !== before) starts[slot + 2]!++;
      before = slot;
    }
    for (let slot = 2; slot < starts.length; slot++) starts[slot]! += starts[slot - 1]!;
    for (let at = 0, before = -1; at < end; at += step) {
      const hash = hashAt(data, at);
      const slot = hash >>> shift;
      // only the first of a run of equal seeds is entered
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
