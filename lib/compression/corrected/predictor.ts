import { MAX_MATCH, WINDOW_SIZE } from '../symbols.ts';
import { commonLength, TEXT_MARGIN } from '../words.ts';

/** The parameters of a DEFLATE encoder's match search that determine its matches. */
export interface Search {
  /** Number of hashed bytes. */
  readonly key: 3 | 4;
  /** With four hashed bytes: whether the nearest match of three is considered, too. */
  readonly shorts: boolean;
  /** Limit of candidates. */
  readonly chain: number;
  /** Limit of candidates for a better match at the next byte. */
  readonly lazyChain: number;
  /** Positions inside longer matches are not hashed. */
  readonly inside: number;
}

/** A text, and the matches that a DEFLATE encoder would find in it. */
export interface Predictor {
  /** Appends at most 64 KiB, while less than `LOOKAHEAD` is ahead. The caller may reuse the memory. */
  add(piece: Uint8Array): void;
  /** Number of bytes that were added and not passed. */
  ahead(): number;
  /** Searches the longest match at the current byte and at the next. */
  look(): void;
  /** Length of the match found; 0 for none. */
  length(): number;
  distance(): number;
  laterLength(): number;
  laterDistance(): number;
  literal(): number;
  /** The next `size` bytes; valid until text is added. */
  peek(size: number): Uint8Array;
  /** Distance of the nearest match found of at least this length; 0 for none. */
  nearest(length: number): number;
  isMatch(length: number, distance: number): boolean;
  /**
   * Advances by `length` bytes.
   *
   * @param whole length of the match or stored block that they are part of, because hashing must not depend on how the
   *   text was split
   */
  pass(length: number, whole?: number): void;
  /** Starts a new member: matches cannot refer to text before. */
  forget(): void;
  /** Passes all passed text to `onPassed`. */
  flush(): void;
}

/** So much text must be ahead, or all of it, so that matches do not depend on how the text was split. */
export const LOOKAHEAD = 1024;
export const PIECE_SIZE = 65536;

const TEXT_SIZE = 16 * WINDOW_SIZE;
const HASH_BITS = 16;
const HASH_MULTIPLIER = 0x9e3779b1;
const MASK = WINDOW_SIZE - 1;
/** Limit of candidates for the nearest match of a length. */
const NEAREST_CHAIN = 1024;
/** Farther matches of three bytes cost more than literals. */
const TOO_FAR = { 3: 4096, 4: 8192 } as const;

/** @param onPassed takes the text that has been passed; its argument is valid during the call */
export function createPredictor(
  { key, shorts, chain, lazyChain, inside }: Search,
  onPassed: (piece: Uint8Array) => void = () => {},
): Predictor {
  const text = new Uint8Array(TEXT_SIZE + MAX_MATCH + TEXT_MARGIN);
  const view = new DataView(text.buffer);
  /** Positions by hash; -1 for none. */
  const heads = new Int32Array(1 << HASH_BITS).fill(-1);
  const shortHeads = new Int32Array(1 << HASH_BITS).fill(-1);
  const previous = new Int32Array(WINDOW_SIZE).fill(-1);
  const keyMask = key === 3 ? 0xffffff : -1;
  const tooFar = TOO_FAR[key];
  /** Matches do not refer to text before this position. */
  let first = 0;
  let start = 0;
  let end = 0;
  /** Positions before this one are hashed, or were left out. */
  let hashed = 0;
  let handedOn = 0;
  let length = 0;
  let distance = 0;
  let laterLength = 0;
  let laterDistance = 0;
  /** The position for which `later…` was searched. */
  let laterAt = -1;

  function hash(at: number, mask: number): number {
    return Math.imul(view.getInt32(at, true) & mask, HASH_MULTIPLIER) >>> (32 - HASH_BITS);
  }

  function insertUpTo(to: number): void {
    for (const stop = Math.min(to, end - 3); hashed < stop; hashed++) {
      const at = hash(hashed, keyMask);
      previous[hashed & MASK] = heads[at]!;
      heads[at] = hashed;
      shortHeads[hash(hashed, 0xffffff)] = hashed;
    }
  }

  const lowest = (at: number): number => Math.max(at - WINDOW_SIZE, first);

  /** Distance of the last hashed match of three bytes; 0 for none. */
  function shortDistance(at: number): number {
    const near = shortHeads[hash(at, 0xffffff)]!;
    const isMatch = near >= lowest(at) && near < at && commonLength(view, near, at, 3) === 3;
    return isMatch ? at - near : 0;
  }

  /** Sets `length` and `distance`. */
  function search(at: number, depth: number): void {
    length = 0;
    distance = 0;
    const most = Math.min(MAX_MATCH, end - at);
    if (most < 4) return;
    insertUpTo(at);
    let best = key - 1;
    if (shorts) {
      const near = shortDistance(at);
      if (near > 0 && near <= tooFar) {
        length = 3;
        distance = near;
      }
    }
    const lower = lowest(at);
    let candidate = heads[hash(at, keyMask)]!;
    for (let tries = depth; candidate >= lower && tries > 0; tries--) {
      if (text[candidate + best] === text[at + best]) {
        const n = commonLength(view, candidate, at, most);
        if (n > best && (n > 3 || at - candidate <= tooFar)) {
          best = n;
          length = n;
          distance = at - candidate;
          if (n === most) return;
        }
      }
      const older = previous[candidate & MASK]!;
      // a stale position outside the window
      if (older >= candidate) return;
      candidate = older;
    }
  }

  function flush(): void {
    if (handedOn < start) onPassed(text.subarray(handedOn, start));
    handedOn = start;
  }

  function slide(): void {
    flush();
    const by = (start - WINDOW_SIZE) & ~MASK;
    text.copyWithin(0, by, end);
    first = Math.max(first - by, 0);
    start -= by;
    end -= by;
    hashed -= by;
    handedOn -= by;
    laterAt -= by;
    for (const positions of [heads, shortHeads, previous]) {
      for (let i = 0; i < positions.length; i++) positions[i] = Math.max(positions[i]! - by, -1);
    }
  }

  return {
    add(piece) {
      if (start >= TEXT_SIZE / 2) slide();
      text.set(piece, end);
      end += piece.length;
      text.fill(0, end, end + TEXT_MARGIN);
    },
    ahead: () => end - start,
    look() {
      if (laterAt === start) {
        length = laterLength;
        distance = laterDistance;
      } else {
        search(start, chain);
      }
      const [held, from] = [length, distance];
      if (held > 0) {
        search(start + 1, lazyChain);
        laterAt = start + 1;
      } else {
        laterAt = -1;
      }
      laterLength = held > 0 ? length : 0;
      laterDistance = held > 0 ? distance : 0;
      length = held;
      distance = from;
    },
    length: () => length,
    distance: () => distance,
    laterLength: () => laterLength,
    laterDistance: () => laterDistance,
    literal: () => text[start]!,
    peek: (size) => text.subarray(start, start + size),
    nearest(wanted) {
      if (end - start < Math.max(wanted, 4)) return 0;
      insertUpTo(start);
      if (wanted === 3 && key === 4) return shortDistance(start);
      const lower = lowest(start);
      let candidate = heads[hash(start, keyMask)]!;
      for (let tries = NEAREST_CHAIN; candidate >= lower && tries > 0; tries--) {
        const isNear = candidate < start && text[candidate + wanted - 1] === text[start + wanted - 1];
        if (isNear && commonLength(view, candidate, start, wanted) >= wanted) return start - candidate;
        const older = previous[candidate & MASK]!;
        if (older >= candidate) return 0;
        candidate = older;
      }
      return 0;
    },
    isMatch: (wanted, from) =>
      start - from >= first &&
      wanted <= end - start &&
      commonLength(view, start - from, start, wanted) >= wanted,
    pass(by, whole = by) {
      start += by;
      if (whole > inside) hashed = Math.max(hashed, start);
      else insertUpTo(start);
    },
    forget() {
      first = start;
      hashed = Math.max(hashed, start);
      laterAt = -1;
    },
    flush,
  };
}
