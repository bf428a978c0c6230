import type { AlignedSink } from './mappedfile.ts';
import { OTHER_BYTES } from './streams.ts';

/** Tar headers (POSIX.1-1988 ustar) and headers of .pyc files by rule: checksums are computed, times mapped. */

export const BLOCK = 512;
const TIME_AT = 136;
const TIME_DIGITS = 11;
const CHECKSUM_AT = 148;
const CHECKSUM_DIGITS = 6;
const CHECKSUM_END = 156;
const MAGIC_AT = 257;
const MAGIC = [...Buffer.from('ustar')];
/** PEP 552: magic number, flags, time and size of the source. */
const PYC_TIME_AT = 8;
const PYC_TIME_END = 12;

/** Times of the source's files, as they became in the target. */
export type Times = ReadonlyMap<number, number>;

export function isHeader(bytes: Uint8Array, at: number): boolean {
  return MAGIC.every((byte, i) => bytes[at + MAGIC_AT + i] === byte);
}

/** Whether a block begins like a .pyc file that names the time of its source. */
export function isPyc(bytes: Buffer, at: number): boolean {
  return bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a && bytes.readUInt32LE(at + 4) === 0;
}

/** Time of a header in seconds, or -1 where it is not written as 11 octal digits. */
export function headerTime(bytes: Uint8Array, at: number): number {
  let time = 0;
  for (let i = 0; i < TIME_DIGITS; i++) {
    const digit = bytes[at + TIME_AT + i]! - 0x30;
    if (!(digit >= 0 && digit < 8)) return -1;
    time = time * 8 + digit;
  }
  return time;
}

export function pycTime(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + PYC_TIME_AT);
}

/** A target as far as it is known. */
interface KnownTarget {
  readonly bytes: Uint8Array;
  /** Offset of the first byte. */
  readonly start: number;
}

/**
 * Predicts a header block of the target from one of the source.
 *
 * @param block of the source at `at`; it is written over
 */
export function predictHeader(
  block: Uint8Array,
  at: number,
  target: number,
  known: KnownTarget,
  times: Times,
  sink: AlignedSink,
): void {
  const time = times.get(headerTime(block, at));
  if (time !== undefined) writeOctal(block, at + TIME_AT, TIME_DIGITS, time);
  sink.plain(OTHER_BYTES, block, at, target, CHECKSUM_AT);
  // the checksum is that of the block with blanks in its place
  let sum = 32 * (CHECKSUM_END - CHECKSUM_AT);
  for (let i = 0; i < CHECKSUM_AT; i++) sum += known.bytes[target - known.start + i]!;
  for (let i = CHECKSUM_END; i < BLOCK; i++) sum += block[at + i]!;
  writeOctal(block, at + CHECKSUM_AT, CHECKSUM_DIGITS, sum);
  sink.plain(OTHER_BYTES, block, at + CHECKSUM_AT, target + CHECKSUM_AT, BLOCK - CHECKSUM_AT);
}

/** Predicts a block that begins a .pyc file; it is written over. */
export function predictPyc(block: Buffer, at: number, target: number, times: Times, sink: AlignedSink): void {
  const time = times.get(pycTime(block, at));
  if (time !== undefined && time < 2 ** 32) block.writeUInt32LE(time, at + PYC_TIME_AT);
  sink.plain(OTHER_BYTES, block, at, target, PYC_TIME_END);
}

export const PYC_HEADER = PYC_TIME_END;

function writeOctal(bytes: Uint8Array, at: number, digits: number, value: number): void {
  const text = value.toString(8).padStart(digits, '0').slice(-digits);
  for (let i = 0; i < digits; i++) bytes[at + i] = text.charCodeAt(i);
}
