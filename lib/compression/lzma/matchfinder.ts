import { commonLength } from '../words.ts';

const ROW_BITS = 4;
const ROW = 1 << ROW_BITS;
const HASH3_BITS = 16;
/** Shift from the 8 hash bits that a slot does not determine to the position of an entry's tag. */
const HASH3_TAG = 16;
/** Farther matches of two and of three bytes cost more than literals. */
const FARTHEST_OF_TWO = 2 ** 12;
const FARTHEST_OF_THREE = 2 ** 18;
const MULTIPLIER = 0x9e3779b1 | 0;
const POSITION_BITS = 24;
const POSITION_MASK = (1 << POSITION_BITS) - 1;

/** Bytes needed at a position to enter it. */
export const MIN_HASHED = 4;
const MAX_MATCHES = ROW + 2;

/**
 * Finds earlier occurrences of the bytes at a position: the nearest one for each length.
 *
 * The last 16 positions of each hash of four bytes are kept in a row, which is a cache line. An entry has 24 bits of
 * the position and 8 more bits of the hash, which exclude most candidates that do not match (as in zstd's row-based
 * match finder). For hashes of two and three bytes only the last position is kept. The full hash of three bytes
 * identifies them. Entries may be stale, so every candidate is compared.
 */
export class MatchFinder {
  readonly lengths = new Uint16Array(MAX_MATCHES);
  /** Distance minus one, as LZMA counts it. */
  readonly distances = new Uint32Array(MAX_MATCHES);
  readonly #view: DataView;
  readonly #window: number;
  readonly #rows: Int32Array;
  readonly #heads: Uint8Array;
  /** The row of each hash, from 1; 0 is none yet. Undefined if each hash has a row of its own. */
  readonly #rowOf: Int32Array | undefined;
  #rowsUsed = 0;
  readonly #rowCountBits: number;
  readonly #depth: number;
  readonly #last2 = new Int32Array(1 << 16);
  readonly #last3 = new Int32Array(1 << HASH3_BITS);
  /** The first position that has not been entered. */
  #next = 0;
  // sum of the moves of the buffer's contents; entries hold positions before all moves, modulo 16 MiB
  #moved = 0;

  /**
   * @param view the text, followed by TEXT_MARGIN bytes
   * @param window maximum distance of a match in bytes, below 16 MiB
   * @param rowCountBits logarithm of the number of rows, which take 64 bytes each
   * @param depth candidates per row
   * @param positions of the whole text: with few of them, only the rows that they use take memory
   */
  constructor(
    view: DataView,
    window: number,
    rowCountBits: number,
    depth: number,
    positions: number = Infinity,
  ) {
    this.#view = view;
    this.#window = window;
    const isShort = positions < 1 << (rowCountBits - 1);
    const rowCount = isShort ? positions + 1 : 1 << rowCountBits;
    this.#rowOf = isShort ? new Int32Array(1 << rowCountBits) : undefined;
    this.#rows = new Int32Array(rowCount << ROW_BITS);
    this.#heads = new Uint8Array(rowCount);
    this.#rowCountBits = rowCountBits;
    this.#depth = depth;
  }

  /** Enters the remaining positions before `end`. Their bytes must be known. */
  enterUntil(end: number): void {
    while (this.#next < end) this.#insert(this.#next++);
  }

  /** Adapts to a move of the buffer's contents by `distance` towards its start. */
  move(distance: number): void {
    this.#next -= distance;
    this.#moved += distance;
  }

  #row(hash: number): number {
    const slot = hash >>> (32 - this.#rowCountBits);
    const rows = this.#rowOf;
    if (rows === undefined) return slot;
    const row = rows[slot]!;
    return row === 0 ? (rows[slot] = ++this.#rowsUsed) : row;
  }

  #insert(at: number): void {
    const position = (at + this.#moved) & POSITION_MASK;
    const four = this.#view.getInt32(at, true);
    const hash = Math.imul(four, MULTIPLIER);
    const hash3 = Math.imul(four, MULTIPLIER << 8);
    this.#last2[four & 0xffff] = position;
    this.#last3[hash3 >>> (32 - HASH3_BITS)] = position | (hash3 << HASH3_TAG);
    const row = this.#row(hash);
    const head = this.#heads[row]!;
    this.#heads[row] = (head + 1) & (ROW - 1);
    this.#rows[(row << ROW_BITS) + head] = position | ((hash << this.#rowCountBits) & ~POSITION_MASK);
  }

  /**
   * Enters the positions up to `at`, and finds matches of two to `max` bytes, by ascending length and distance. Needs
   * four bytes at `at`.
   *
   * @returns the number of matches
   */
  find(at: number, max: number): number {
    if (this.#next < at) this.enterUntil(at);
    this.#next = at + 1;
    const view = this.#view;
    const rows = this.#rows;
    const lengths = this.lengths;
    const distances = this.distances;
    const farthest = Math.min(at, this.#window);
    const position = (at + this.#moved) & POSITION_MASK;
    const four = view.getInt32(at, true);
    const two = four & 0xffff;
    const hash = Math.imul(four, MULTIPLIER);
    const hash3 = Math.imul(four, MULTIPLIER << 8);
    const tag3 = hash3 << HASH3_TAG;
    let count = 0;
    let longest = 1;

    const distance2 = (position - this.#last2[two]!) & POSITION_MASK;
    this.#last2[two] = position;
    const entry3 = this.#last3[hash3 >>> (32 - HASH3_BITS)]!;
    this.#last3[hash3 >>> (32 - HASH3_BITS)] = position | tag3;
    const distance3 = (position - entry3) & POSITION_MASK;
    if (distance2 > 0 && distance2 <= Math.min(farthest, FARTHEST_OF_TWO)) {
      const length = commonLength(view, at - distance2, at, max);
      if (length > longest) {
        longest = length;
        lengths[count] = length;
        distances[count++] = distance2 - 1;
      }
    }
    if (
      (entry3 ^ tag3) >>> POSITION_BITS === 0 &&
      distance3 > distance2 &&
      distance3 <= Math.min(farthest, FARTHEST_OF_THREE)
    ) {
      const length = commonLength(view, at - distance3, at, max);
      if (length > longest) {
        longest = length;
        lengths[count] = length;
        distances[count++] = distance3 - 1;
      }
    }

    const row = this.#row(hash);
    const first = row << ROW_BITS;
    const head = this.#heads[row]!;
    const tag = (hash << this.#rowCountBits) & ~POSITION_MASK;
    for (let i = head - 1, end = head - 1 - this.#depth; i > end && longest < max; i--) {
      const entry = rows[first + (i & (ROW - 1))]!;
      if ((entry ^ tag) >>> POSITION_BITS !== 0) continue;
      const distance = (position - entry) & POSITION_MASK;
      if (distance === 0 || distance > farthest) continue;
      if (view.getUint8(at - distance + longest) !== view.getUint8(at + longest)) continue;
      const length = commonLength(view, at - distance, at, max);
      if (length <= longest) continue;
      longest = length;
      lengths[count] = length;
      distances[count++] = distance - 1;
    }
    this.#heads[row] = (head + 1) & (ROW - 1);
    rows[first + head] = position | tag;
    return count;
  }
}
