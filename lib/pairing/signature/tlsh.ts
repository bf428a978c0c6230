import { PanamaxError, printable } from '../../errors.ts';

/**
 * TLSH, a locality sensitive hash: near-identical streams get digests at a small distance (Oliver, Cheng, Chen: "TLSH - A
 * Locality Sensitive Hash", CTC 2013). This is the common variant with windows of 5 bytes, 128 buckets and a checksum of
 * 1 byte.
 *
 * Digests and distances equal those of the reference program in Debian, "3.4.4 compact hash 1 byte checksum". Later
 * releases differ: from 4.0 on they prefix "T1", and from 3.5.0 on they can hash 50 to 255 bytes. Ratios of quartiles are
 * rounded to 32-bit floats as in all releases before 4.12.1. Counts and sizes are exact, while 3.4.4 wraps them at 2^32:
 * ratios differ from about 1.8 GB on, sizes from 4 GiB on.
 */
export interface TlshHasher {
  /** Takes the next bytes of the stream. The chunk may be reused by the caller afterwards. */
  update(chunk: Uint8Array): void;
  /**
   * The digest of all bytes so far, as 70 upper-case hexadecimal digits. More bytes may follow. Null in the cases where
   * the reference has no digest: less than 256 bytes, or so uniform that at most half of the buckets were hit.
   */
  digest(): string | null;
}

const MIN_LENGTH = 256;
const BUCKETS = 128;
/** Bytes of a window before its last one. */
const HISTORY = 4;
const BLOCK_SIZE = 64 * 1024;

/** The permutation of 0 to 255 by Pearson ("Fast hashing of variable-length text strings", CACM 1990). */
const PEARSON = Uint8Array.from(
  Buffer.from(
    '0157310cb0b266a679c10654f9e62ca30ec5d5b5a155da5040ef18e2ec8e26c8' +
      '6eb168678dfdff324d6551122d601fde196bbe4656edf02248f214d6f4e395eb' +
      '61ea39163cfa52afd0057fc76f3e87f8aea9d33a429a6ac3f5ab11bbb6b300f3' +
      '8438944b80859e64827e5b0d99f6d8db7744df4e5358c9637a0b5c208872340a' +
      '8a1e30b79c233d1a8f4afb5e81a23f98aa0773a7f1ce0396373b97dc5a351783' +
      '7dad0fee4f5f59106989e1e0d9a0257b7649029d2e74099186e4cfd4cad745e5' +
      '1bbc437ca8fc2a041d6c15f713cd27cbe928ba93c6c09b21a4bf62cca5b4754c' +
      '8c24d2ac29369f08b9e871c4e72f927833411c90fedd5dbdc28b702b476db8d1',
    'hex',
  ),
);

/** Pearson's hash of a salt and one byte, by the byte: the first step of the hash of a salt and three bytes. */
function salted(salt: number): Uint8Array {
  return PEARSON.map((_, byte) => PEARSON[PEARSON[salt]! ^ byte]!);
}

// Tables and counters are constants of this module, not of each hasher: V8 then compiles their addresses and
// lengths into `countWindows`, which nearly doubles its speed.
const SALT_0 = salted(0);
const SALT_2 = salted(2);
const SALT_3 = salted(3);
const SALT_5 = salted(5);
const SALT_7 = salted(7);
const SALT_11 = salted(11);
const SALT_13 = salted(13);

/** Hits per bucket, counted before the last step of Pearson's hash. That step is a permutation of the buckets. */
const hits = new Uint32Array(256);

/**
 * Counts the six byte triplets of every window that ends in `block[start, end)` into `hits`.
 *
 * @returns the next checksum
 */
function countWindows(block: Uint8Array, start: number, end: number, checksum: number): number {
  let e = block[start - 4]!;
  let d = block[start - 3]!;
  let c = block[start - 2]!;
  let b = block[start - 1]!;
  for (let i = start; i < end; i++) {
    const a = block[i]!;
    checksum = PEARSON[PEARSON[SALT_0[a]! ^ b]! ^ checksum]!;
    hits[PEARSON[SALT_2[a]! ^ b]! ^ c]!++;
    hits[PEARSON[SALT_3[a]! ^ b]! ^ d]!++;
    hits[PEARSON[SALT_5[a]! ^ c]! ^ d]!++;
    hits[PEARSON[SALT_7[a]! ^ c]! ^ e]!++;
    hits[PEARSON[SALT_11[a]! ^ b]! ^ e]!++;
    hits[PEARSON[SALT_13[a]! ^ d]! ^ e]!++;
    e = d;
    d = c;
    c = b;
    b = a;
  }
  return checksum;
}

/** A hasher with a buffer of 64 KiB, for streams of any length in chunks of any size. */
export function createTlsh(): TlshHasher {
  const block = new Uint8Array(BLOCK_SIZE);
  const counts = new Float64Array(256);
  let filled = 0;
  /** Bytes at the start of the block that have been counted. */
  let counted = 0;
  let length = 0;
  let checksum = 0;

  function flush(): void {
    const start = Math.max(counted, HISTORY);
    if (start < filled) {
      checksum = countWindows(block, start, filled, checksum);
      for (let i = 0; i < hits.length; i++) counts[PEARSON[i]!]! += hits[i]!;
      hits.fill(0);
    }
    counted = Math.min(filled, HISTORY);
    block.copyWithin(0, filled - counted, filled);
    filled = counted;
  }

  return {
    update(chunk) {
      length += chunk.length;
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + BLOCK_SIZE - filled);
        block.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === BLOCK_SIZE) flush();
      }
    },
    digest() {
      flush();
      return digestOf(counts.subarray(0, BUCKETS), length, checksum);
    },
  };
}

function digestOf(counts: Float64Array, length: number, checksum: number): string | null {
  const hit = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  if (length < MIN_LENGTH || hit <= BUCKETS / 2) return null;

  const ascending = counts.slice().sort();
  const q1 = ascending[BUCKETS / 4 - 1]!;
  const q2 = ascending[BUCKETS / 2 - 1]!;
  const q3 = ascending[(BUCKETS * 3) / 4 - 1]!;
  const size = sizeClass(length);
  const digits = [checksum & 15, checksum >> 4, size & 15, size >> 4, ratio(q1, q3), ratio(q2, q3)];
  const quarter = (count: number): number => (count > q3 ? 3 : count > q2 ? 2 : count > q1 ? 1 : 0);
  for (let i = BUCKETS - 2; i >= 0; i -= 2) digits.push(quarter(counts[i + 1]!) * 4 + quarter(counts[i]!));
  return digits
    .map((digit) => digit.toString(16))
    .join('')
    .toUpperCase();
}

/** The ratio in percent, modulo 16. */
function ratio(part: number, whole: number): number {
  return Math.trunc(Math.fround(Math.fround(part * 100) / Math.fround(whole))) % 16;
}

/** The length on a logarithmic scale. The base is 1.5, from 657 bytes on 1.3, from 3200 bytes on 1.1. */
function sizeClass(length: number): number {
  const log = Math.fround(Math.log(Math.fround(length)));
  if (length <= 656) return Math.floor(log / 0.4054651);
  if (length <= 3199) return Math.floor(log / 0.26236426 - 8.72777);
  return Math.floor(log / 0.09531018 - 62.5472);
}

/** The fields of a digest. */
export interface Tlsh {
  readonly checksum: number;
  readonly sizeClass: number;
  /** First and second quartile of the bucket counts, each in percent of the third quartile, modulo 16. */
  readonly q1Ratio: number;
  readonly q2Ratio: number;
  /** The quarter that each bucket's count falls into, 0 to 3, last bucket first. */
  readonly quarters: Uint8Array;
}

const DIGITS = 6 + BUCKETS / 2;
const DIGEST = new RegExp(`^(?:T1)?([0-9a-f]{${DIGITS}})$`, 'i');

/**
 * Parses a digest in upper or lower case, with or without the prefix "T1" of current releases.
 *
 * @throws PanamaxError `bad-input`
 */
export function parseTlsh(text: string, where?: string): Tlsh {
  const match = DIGEST.exec(text);
  if (!match) {
    throw new PanamaxError('bad-input', 'not a TLSH digest', {
      expected: `${DIGITS} hexadecimal digits`,
      found: printable(text),
      ...(where !== undefined && { where }),
    });
  }
  const digits = Array.from(match[1]!, (digit) => Number.parseInt(digit, 16));
  return {
    checksum: digits[0]! + digits[1]! * 16,
    sizeClass: digits[2]! + digits[3]! * 16,
    q1Ratio: digits[4]!,
    q2Ratio: digits[5]!,
    quarters: Uint8Array.from(digits.slice(6).flatMap((digit) => [digit >> 2, digit & 3])),
  };
}

/** Distance of two buckets, by the number of quarters between their counts. */
const QUARTERS_APART = [0, 1, 2, 6];

/**
 * Distance of two streams: 0 for equal digests, mostly over 100 for unrelated streams.
 *
 * @param length whether the sizes of the streams count; false is the option -xlen of the reference program
 * @throws PanamaxError `bad-input`
 */
export function tlshDistance(a: string, b: string, { length = true }: { length?: boolean } = {}): number {
  const x = parseTlsh(a);
  const y = parseTlsh(b);
  const sizes = length ? apart(x.sizeClass, y.sizeClass, 256) : 0;
  let distance = sizes <= 1 ? sizes : sizes * 12;
  for (const ratios of [apart(x.q1Ratio, y.q1Ratio, 16), apart(x.q2Ratio, y.q2Ratio, 16)]) {
    distance += ratios <= 1 ? ratios : (ratios - 1) * 12;
  }
  if (x.checksum !== y.checksum) distance += 1;
  for (let i = 0; i < BUCKETS; i++) {
    distance += QUARTERS_APART[Math.abs(x.quarters[i]! - y.quarters[i]!)]!;
  }
  return distance;
}

/** Distance of two values on a circle of this circumference. */
function apart(x: number, y: number, circle: number): number {
  const way = Math.abs(x - y);
  return Math.min(way, circle - way);
}
