/** Pseudo-random values that are the same in every run. */
export interface Random {
  /** From 0 to below `limit`. */
  below(limit: number): number;
  bytes(size: number): Buffer;
  /** Words and lines that compress about as well as source code. */
  text(size: number): string;
}

/** Mulberry32 by Tommy Ettinger (public domain), one 32-bit state. */
export function createRandom(seed: number): Random {
  let state = seed | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number) => next() % limit;
  return {
    below,
    bytes(size) {
      const bytes = Buffer.alloc(size);
      for (let i = 0; i < size; i++) bytes[i] = below(256);
      return bytes;
    },
    text(size) {
      let text = '';
      while (text.length < size) {
        text += `${below(20_000).toString(36)}${below(12) === 0 ? '\n' : ' '}`;
      }
      return text.slice(0, size);
    },
  };
}
