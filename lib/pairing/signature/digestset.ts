import { hexOf, type Digest } from '../../digest.ts';
import { bytesColumn } from '../../runtime/column.ts';

/** Concatenated SHA-256 digests of 32 bytes each. */
export type Digests = Uint8Array;

export const DIGEST_SIZE = 32;

/** A set of digests, numbered in the order they were added. */
export interface DigestSet {
  readonly size: number;
  /** Adds the digest at `offset` of `bytes`. Returns its number, and whether it is new. */
  add(bytes: Uint8Array, offset?: number): { readonly index: number; readonly isNew: boolean };
  has(bytes: Uint8Array, offset?: number): boolean;
  finish(): Uint8Array<ArrayBuffer>;
}

const FIRST_SLOTS = 1024;

/** An open-addressing hash table that uses the first bytes of a digest as its hash. */
export function createDigestSet(): DigestSet {
  const digests = bytesColumn();
  let known = digests.view();
  let size = 0;
  // the digest's number plus 1; 0 in empty slots
  let slots = new Uint32Array(FIRST_SLOTS);

  /** The slot of the digest, or the empty slot where it would be inserted. */
  function slotOf(bytes: Uint8Array, offset: number): number {
    let slot = wordAt(bytes, offset) & (slots.length - 1);
    for (; slots[slot] !== 0; slot = (slot + 1) & (slots.length - 1)) {
      const at = (slots[slot]! - 1) * DIGEST_SIZE;
      let same = 0;
      while (same < DIGEST_SIZE && known[at + same] === bytes[offset + same]) same++;
      if (same === DIGEST_SIZE) break;
    }
    return slot;
  }

  function grow(): void {
    slots = new Uint32Array(2 * slots.length);
    for (let i = 0; i < size; i++) slots[slotOf(known, i * DIGEST_SIZE)] = i + 1;
  }

  return {
    get size() {
      return size;
    },
    add(bytes, offset = 0) {
      const slot = slotOf(bytes, offset);
      const index = slots[slot]! - 1;
      if (index >= 0) return { index, isNew: false };
      digests.append(bytes.subarray(offset, offset + DIGEST_SIZE));
      known = digests.view();
      slots[slot] = ++size;
      if (2 * size > slots.length) grow();
      return { index: size - 1, isNew: true };
    },
    has: (bytes, offset = 0) => slots[slotOf(bytes, offset)] !== 0,
    finish: () => digests.finish(),
  };
}

/** The number that the first 53 bits of a digest make. */
export function digestKey(digest: Uint8Array, at = 0): number {
  const word = (i: number) =>
    ((digest[i]! << 24) | (digest[i + 1]! << 16) | (digest[i + 2]! << 8) | digest[i + 3]!) >>> 0;
  return word(at) * 2 ** 21 + (word(at + 4) >>> 11);
}

function wordAt(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>>
    0
  );
}

export function digestAt(digests: Digests, i: number): Digest {
  return `sha256:${Buffer.from(digests.buffer, digests.byteOffset + i * DIGEST_SIZE, DIGEST_SIZE).toString('hex')}`;
}

export function digestBytes(digest: Digest): Buffer {
  return Buffer.from(hexOf(digest), 'hex');
}
