/**
 * The sequence of bytes that are not as predicted: for each the gap of right bytes before it, and its difference from the
 * prediction. Where the last few occurred before, in this order, what followed them is expected to follow again.
 */

const KEPT = 1 << 18;
const MASK = KEPT - 1;
const PLACE_BITS = 16;
/** Lengths of sequences that are looked up. */
export const ORDERS = [5, 2];
export const MAX_REPEATED = 31;

export class WrongBytes {
  readonly #gaps = new Int32Array(KEPT);
  readonly #differences = new Uint8Array(KEPT);
  readonly #places = ORDERS.map(() => new Int32Array(1 << PLACE_BITS));
  /** By order: index of the byte that is expected next, and how many before it were as expected; 0 for none. */
  readonly #next = new Int32Array(ORDERS.length);
  readonly #repeated = new Int32Array(ORDERS.length);
  #count = 0;
  /** Right bytes since the last wrong one. */
  gap = 0;

  /** How many were as expected, at most MAX_REPEATED; 0 where nothing is expected. */
  repeated(order: number): number {
    const count = this.#repeated[order]!;
    return count > MAX_REPEATED ? MAX_REPEATED : count;
  }

  /** Right bytes until the expected wrong one; negative where it did not come. */
  distance(order: number): number {
    return this.#gaps[this.#next[order]! & MASK]! - this.gap;
  }

  difference(order: number): number {
    return this.#differences[this.#next[order]! & MASK]!;
  }

  push(difference: number): void {
    const { gap } = this;
    this.#gaps[this.#count & MASK] = gap;
    this.#differences[this.#count & MASK] = difference;
    this.#count++;
    this.gap = 0;
    for (let order = 0; order < ORDERS.length; order++) {
      const next = this.#next[order]! & MASK;
      const isRepeated =
        this.#repeated[order]! > 0 && this.#gaps[next] === gap && this.#differences[next] === difference;
      if (isRepeated) {
        this.#repeated[order]!++;
        this.#next[order]!++;
      } else this.#repeated[order] = 0;
      if (this.#count >= ORDERS[order]!) this.#note(order);
    }
  }

  #note(order: number): void {
    const places = this.#places[order]!;
    let hash = 0;
    for (let i = 1; i <= ORDERS[order]!; i++) {
      const at = (this.#count - i) & MASK;
      hash = Math.imul(hash + this.#gaps[at]! * 256 + this.#differences[at]! + 1, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const slot = hash >>> (32 - PLACE_BITS);
    const last = places[slot]!;
    places[slot] = this.#count;
    if (this.#repeated[order]! > 0 || last === 0) return;
    this.#next[order] = last;
    let same = 0;
    while (same < MAX_REPEATED && same < last && this.#isSame(last - 1 - same, this.#count - 1 - same))
      same++;
    this.#repeated[order] = same;
  }

  #isSame(one: number, other: number): boolean {
    return (
      this.#gaps[one & MASK] === this.#gaps[other & MASK] &&
      this.#differences[one & MASK] === this.#differences[other & MASK]
    );
  }
}
