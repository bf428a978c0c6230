/** Words of a digest in a column: 128 bits, all zero for empty content. */
export const DIGEST_WORDS = 4;

/** Items grouped by digest: the first item of a group, and from each item the next one, in ascending order. */
export interface Groups {
  /** First item with the digest that item i of another column has, or -1. */
  first(digests: Int32Array, i: number): number;
  /** The next with the same digest, or -1. */
  next(item: number): number;
}

/** Groups the items allowed in a hash table with open addressing: 10 to 16 bytes for each item of the column. */
export function groupByDigest(digests: Int32Array, allowed: (i: number) => boolean): Groups {
  const count = digests.length / DIGEST_WORDS;
  /** 1 + the first item; 0 where a slot is free, as a third of them is. */
  const slots = new Int32Array(2 ** Math.ceil(Math.log2(1.5 * count + 1)));
  const next = new Int32Array(count).fill(-1);

  /** Of the digest, or the free one where it belongs. */
  function slotOf(others: Int32Array, i: number): number {
    let slot = others[DIGEST_WORDS * i]! & (slots.length - 1);
    while (slots[slot] !== 0 && !sameDigest(digests, slots[slot]! - 1, others, i)) {
      slot = (slot + 1) & (slots.length - 1);
    }
    return slot;
  }

  for (let i = count - 1; i >= 0; i--) {
    if (!allowed(i)) continue;
    const slot = slotOf(digests, i);
    next[i] = slots[slot]! - 1;
    slots[slot] = i + 1;
  }
  return { first: (others, i) => slots[slotOf(others, i)]! - 1, next: (item) => next[item]! };
}

export function sameDigest(a: Int32Array, i: number, b: Int32Array, j: number): boolean {
  for (let word = 0; word < DIGEST_WORDS; word++) {
    if (a[DIGEST_WORDS * i + word] !== b[DIGEST_WORDS * j + word]) return false;
  }
  return true;
}
