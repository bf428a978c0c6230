/** Inputs on which encoders differ: sizes near the limits of blocks and windows, noise, text, code. */
import { openSync, readSync } from 'node:fs';
import * as fc from 'fast-check';
import { createRandom } from './random.ts';

/** A part of a real executable. */
export function executable(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  readSync(openSync(process.execPath, 'r'), bytes, 0, size, 20_000_000);
  return bytes;
}

const random = createRandom(1);
export const noise = random.bytes(400_000);
export const text = Buffer.from(random.text(400_000));

/** Repeats at distances near the encoders' limits. */
function repeats(distance: number): Buffer {
  const parts = [noise.subarray(0, distance)];
  for (let i = 0; i < 8; i++) parts.push(Buffer.from([i, i + 1]), noise.subarray(i, distance - 2));
  return Buffer.concat(parts);
}

export const SAMPLES: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'one byte': Buffer.from('a'),
  'sixteen bytes': noise.subarray(0, 16),
  'thirty-three bytes': noise.subarray(0, 33),
  '127 bytes': text.subarray(0, 127),
  '128 bytes': text.subarray(0, 128),
  '255 bytes of noise': noise.subarray(0, 255),
  zeros: Buffer.alloc(300_000),
  // longer than the 128 KiB that pigz compresses at a time
  noise: noise.subarray(0, 150_000),
  text: text.subarray(0, 150_000),
  'text and noise': Buffer.concat([
    text.subarray(0, 150_000),
    noise.subarray(0, 150_000),
    text.subarray(100_000, 200_000),
    noise.subarray(0, 65_535),
  ]),
  'an executable': executable(400_000),
  'an end behind the last place where gzip looks for a match': executable(65_400),
  'the same a window later': executable(98_200),
  'distance 32506': repeats(32_506),
  'distance 32767': repeats(32_767),
  'distance 32768': repeats(32_768),
  'distance 32769': repeats(32_769),
};

/** For one level of each kind. */
export const LONG = Buffer.concat([executable(1_300_000), text, noise]);

/** For encoders with blocks of a megabyte. */
export const BLOCKS: Readonly<Record<string, Buffer>> = {
  'a megabyte to the byte': executable(1024 ** 2),
  'two, and one byte': executable(2 * 1024 ** 2 + 1),
};

/** Text of literals, runs, and copies of earlier text. */
export const composed = fc
  .array(
    fc.oneof(
      fc.record({ kind: fc.constant('noise' as const), size: fc.nat(30_000) }),
      fc.record({ kind: fc.constant('text' as const), size: fc.nat(60_000) }),
      fc.record({ kind: fc.constant('run' as const), size: fc.nat(2000) }),
      fc.record({ kind: fc.constant('copy' as const), size: fc.nat(700), distance: fc.nat(33_000) }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => {
    const bytes = Buffer.alloc(parts.reduce((sum, { size }) => sum + size, 0));
    let at = 0;
    for (const part of parts) {
      for (let i = 0; i < part.size; i++, at++) {
        const from = part.kind === 'copy' ? at - 1 - part.distance : -1;
        if (part.kind === 'noise') bytes[at] = noise[(at * 7 + i) % noise.length]!;
        else if (part.kind === 'text') bytes[at] = text[(at + i) % text.length]!;
        else bytes[at] = from >= 0 ? bytes[from]! : part.size;
      }
    }
    return bytes;
  });
