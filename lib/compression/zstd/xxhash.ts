/**
 * XXH64 with seed 0; zstd frames keep its lower half. Written here because encoders are synchronous, and WebAssembly
 * packages such as xxhash-wasm load asynchronously. 64-bit words are kept as two halves.
 */
export interface Xxhash {
  update(bytes: Uint8Array): void;
  /** The lower 32 bits. */
  low(): number;
}

const STRIPE = 32;
const MASK = 2n ** 64n - 1n;
const PRIMES: readonly [bigint, bigint, bigint, bigint, bigint] = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
];
const [P1_HIGH, P1_LOW] = halves(PRIMES[0]);
const [P2_HIGH, P2_LOW] = halves(PRIMES[1]);

export function createXxhash(): Xxhash {
  /** Four lanes, each as its lower and its upper half. */
  const lanes = new Int32Array(8);
  for (const [i, start] of [PRIMES[0] + PRIMES[1], PRIMES[1], 0n, -PRIMES[0]].entries()) {
    [lanes[2 * i + 1], lanes[2 * i]] = halves(start & MASK);
  }
  const rest = new Uint8Array(STRIPE);
  let restSize = 0;
  let total = 0;

  /** Hashes whole stripes. @returns the number of bytes in them */
  function stripes(bytes: Uint8Array): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const end = bytes.length - (bytes.length % STRIPE);
    for (let at = 0; at < end; at += STRIPE) {
      for (let lane = 0; lane < 8; lane += 2) {
        const low = view.getInt32(at + 4 * lane, true);
        const high = view.getInt32(at + 4 * lane + 4, true);
        // lane += word * PRIME2
        const added = Math.imul(low, P2_LOW) >>> 0;
        const sum = (lanes[lane]! >>> 0) + added;
        const sumHigh =
          lanes[lane + 1]! +
          highProduct(low, P2_LOW) +
          Math.imul(low, P2_HIGH) +
          Math.imul(high, P2_LOW) +
          (sum > 0xffffffff ? 1 : 0);
        // rotated by 31
        const turnedLow = (sum << 31) | (sumHigh >>> 1);
        const turnedHigh = (sumHigh << 31) | ((sum | 0) >>> 1);
        lanes[lane] = Math.imul(turnedLow, P1_LOW);
        lanes[lane + 1] =
          highProduct(turnedLow, P1_LOW) + Math.imul(turnedLow, P1_HIGH) + Math.imul(turnedHigh, P1_LOW);
      }
    }
    return end;
  }

  return {
    update(bytes) {
      total += bytes.length;
      let at = 0;
      if (restSize > 0) {
        const part = bytes.subarray(0, STRIPE - restSize);
        rest.set(part, restSize);
        restSize += part.length;
        at = part.length;
        if (restSize < STRIPE) return;
        stripes(rest);
        restSize = 0;
      }
      at += stripes(bytes.subarray(at));
      rest.set(bytes.subarray(at));
      restSize = bytes.length - at;
    },
    low: () => Number(finish(lanes, rest.subarray(0, restSize), total) & 0xffffffffn),
  };
}

function finish(lanes: Int32Array, rest: Uint8Array, total: number): bigint {
  const [p1, p2, p3, p4, p5] = PRIMES;
  const round = (word: bigint) => (rotated((word * p2) & MASK, 31) * p1) & MASK;
  let hash = p5;
  if (total >= STRIPE) {
    const words = [0, 2, 4, 6].map((i) => (BigInt(lanes[i + 1]! >>> 0) << 32n) | BigInt(lanes[i]! >>> 0)) as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const [a, b, c, d] = words;
    hash = (rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18)) & MASK;
    for (const word of words) hash = ((hash ^ round(word)) * p1 + p4) & MASK;
  }
  hash = (hash + BigInt(total)) & MASK;
  const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
  let at = 0;
  for (; at + 8 <= rest.length; at += 8) {
    hash = (rotated(hash ^ round(view.getBigUint64(at, true)), 27) * p1 + p4) & MASK;
  }
  if (at + 4 <= rest.length) {
    hash = (rotated(hash ^ ((BigInt(view.getUint32(at, true)) * p1) & MASK), 23) * p2 + p3) & MASK;
    at += 4;
  }
  for (; at < rest.length; at++) hash = (rotated(hash ^ ((BigInt(rest[at]!) * p5) & MASK), 11) * p1) & MASK;
  hash = ((hash ^ (hash >> 33n)) * p2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * p3) & MASK;
  return hash ^ (hash >> 32n);
}

function rotated(word: bigint, count: number): bigint {
  return ((word << BigInt(count)) | (word >> BigInt(64 - count))) & MASK;
}

function halves(word: bigint): [high: number, low: number] {
  return [Number(word >> 32n) | 0, Number(word & 0xffffffffn) | 0];
}

/** The upper 32 bits of the product of two words. */
function highProduct(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const first = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const second = (Math.imul(aLow, bHigh) + (first & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (first >>> 16) + (second >>> 16)) | 0;
}
