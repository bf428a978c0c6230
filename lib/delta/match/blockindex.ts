/** Multiplier of the polynomial hash (odd, high entropy: Knuth's 32-bit golden ratio). */
const BASE = 0x9e3779b1;

/**
 * An index of a buffer's blocks: `window` bytes at every `step`-th offset, found by a rolling hash.
 * `head[slot]` is 1 + the number of the first block with that hash, `next[block]` links the others.
 */
export interface BlockIndex {
  readonly window: number;
  readonly step: number;
  readonly shift: number;
  readonly head: Int32Array;
  readonly next: Int32Array;
}

export function indexBlocks(data: Uint8Array, window: number, step: number): BlockIndex {
  const blocks = data.length < window ? 0 : Math.floor((data.length - window) / step) + 1;
  const bits = Math.max(8, Math.ceil(Math.log2(blocks + 1)));
  const shift = 32 - bits;
  const head = new Int32Array(1 << bits);
  const next = new Int32Array(blocks);
  let before = -1;
  for (let block = blocks - 1; block >= 0; block--) {
    const slot = slotOf(hashAt(data, block * step, window), shift);
    // A run of equal blocks (zeros, padding) is kept by its ends: matches are extended anyway.
    if (slot === before && head[slot] === block + 2 && block > 0) {
      next[block] = next[block + 1]!;
    } else {
      next[block] = head[slot]!;
    }
    head[slot] = block + 1;
    before = slot;
  }
  return { window, step, shift, head, next };
}

export function hashAt(data: Uint8Array, offset: number, window: number): number {
  let hash = 0;
  for (let i = offset; i < offset + window; i++) hash = (Math.imul(hash, BASE) + data[i]!) | 0;
  return hash;
}

/** BASE to the power of `window`: what the byte leaving the window has grown to. */
export function leavingFactor(window: number): number {
  let factor = 1;
  for (let i = 0; i < window; i++) factor = Math.imul(factor, BASE);
  return factor;
}

export function rolled(hash: number, leaving: number, entering: number, factor: number): number {
  return (Math.imul(hash, BASE) + entering - Math.imul(leaving, factor)) | 0;
}

export function slotOf(hash: number, shift: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> shift;
}
