import type { Buffer } from 'node:buffer';
import { PanamaxError, type ErrorFacts } from '../../errors.ts';
import type { ByteString } from './entry.ts';

/** Size of a tar's blocks in bytes. */
export const BLOCK_SIZE = 512;

/** The reader's position, for errors. */
export interface Place {
  /** Names the tar. */
  readonly where: string;
  /** Offset of the entry in the tar. */
  readonly offset: number;
  /** The entry's path; '' until it is known. */
  path: ByteString;
}

/** One header block, before extension headers are applied. */
export interface Header {
  readonly path: ByteString;
  readonly linkPath: ByteString;
  /** The type flag: one character. */
  readonly flag: string;
  readonly format: 'v7' | 'ustar' | 'gnu';
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

const DEVICE_FLAGS = '34';
/** Bound of times in seconds: Go and container engines have 64 bits for them. */
export const MAX_TIME = 2 ** 63;

/**
 * Parses a header block in the formats of Go's archive/tar: v7, POSIX.1-1988 ustar, star, GNU.
 *
 * @throws PanamaxError `bad-input` for a wrong checksum or number
 */
export function parseHeader(block: Buffer, place: Place): Header {
  checkSum(block, place);
  const format = formatOf(block);
  const name = text(block, 0, 100);
  const prefix = prefixOf(block, format);
  const path = prefix ? `${prefix}/${name}` : name;
  place.path = path;

  const size = parseNumber(block, 124, 12, 'size', place);
  if (size < 0) refuse(place, 'tar entry has a negative size', { found: size });
  const flag = String.fromCharCode(block[156]!);
  const hasDevice = format !== 'v7' && DEVICE_FLAGS.includes(flag);
  return {
    path,
    linkPath: text(block, 157, 100),
    flag,
    format,
    size,
    mode: parseWord(block, 100, 'mode', place) & 0o7777,
    uid: parseWord(block, 108, 'uid', place),
    gid: parseWord(block, 116, 'gid', place),
    mtime: parseTimeField(block, 136, place),
    devMajor: hasDevice ? parseWord(block, 329, 'device', place) : 0,
    devMinor: hasDevice ? parseWord(block, 337, 'device', place) : 0,
  };
}

/**
 * Parses a number field: octal digits surrounded by spaces and NULs, or GNU's base-256, which sets the first bit and is
 * big-endian two's complement. An empty field is 0.
 *
 * @throws PanamaxError `bad-input` for a malformed number, or one beyond 2^53
 */
export function parseNumber(block: Buffer, at: number, width: number, field: string, place: Place): number {
  if (block[at]! & 0x80) {
    const value = parseBase256(block, at, at + width);
    if (Math.abs(value) >= Number.MAX_SAFE_INTEGER) refuse(place, `tar header has a ${field} beyond 2^53`);
    return value;
  }
  return parseOctal(block, at, at + width, field, place);
}

/**
 * Parses an ID, a device number or a mode, 8 bytes wide. Base-256 is reduced to 32 bits without a sign, as the kernel
 * does with the numbers that engines pass to it: -2 is 4294967294.
 */
function parseWord(block: Buffer, at: number, field: string, place: Place): number {
  return block[at]! & 0x80 ? block.readUInt32BE(at + 4) : parseOctal(block, at, at + 8, field, place);
}

/** Parses a time, 12 bytes wide, which may have 64 bits. Beyond 2^53 it is rounded. */
function parseTimeField(block: Buffer, at: number, place: Place): number {
  if (!(block[at]! & 0x80)) return parseOctal(block, at, at + 12, 'mtime', place);
  const value = parseBase256(block, at, at + 12);
  if (Math.abs(value) > MAX_TIME) refuse(place, 'tar header has an mtime beyond 2^63', { found: value });
  return value;
}

function parseOctal(block: Buffer, at: number, end: number, field: string, place: Place): number {
  while (at < end && isBlank(block[at]!)) at++;
  let value = 0;
  for (; at < end; at++) {
    const digit = block[at]! - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  while (at < end && block[at] === 0x20) at++;
  if (at < end && block[at] !== 0) refuse(place, `tar header has a malformed ${field}`);
  return value;
}

function parseBase256(block: Buffer, at: number, end: number): number {
  const negative = (block[at]! & 0x40) !== 0;
  const flip = negative ? 0xff : 0;
  let value = (block[at]! ^ flip) & 0x7f;
  for (at++; at < end; at++) value = value * 256 + (block[at]! ^ flip);
  return negative ? -value - 1 : value;
}

/** The bytes of a field up to its first NUL. */
function text(block: Buffer, at: number, width: number): ByteString {
  const nul = block.indexOf(0, at);
  return block.toString('latin1', at, nul < 0 || nul > at + width ? at + width : nul);
}

function formatOf(block: Buffer): Header['format'] {
  const magic = block.toString('latin1', 257, 265);
  if (magic === 'ustar  \0') return 'gnu';
  return magic.startsWith('ustar\0') ? 'ustar' : 'v7';
}

function prefixOf(block: Buffer, format: Header['format']): ByteString {
  if (format === 'v7' || block[345] === 0) return '';
  if (format === 'ustar') {
    const isStar = block.toString('latin1', 508, 512) === 'tar\0';
    return text(block, 345, isStar ? 131 : 155);
  }
  // GNU stores atime and ctime here, but Go before 1.8 (and engines of that time) wrote prefixes with GNU's magic
  return isNumeric(block, 345, 357) && isNumeric(block, 357, 369) ? '' : text(block, 345, 155);
}

function isNumeric(block: Buffer, at: number, end: number): boolean {
  if (block[at]! & 0x80) return true;
  while (at < end && (isBlank(block[at]!) || (block[at]! >= 0x30 && block[at]! <= 0x37))) at++;
  return at === end;
}

/** Checks the sum of the block's bytes, with spaces for the checksum field. Some old tars summed signed bytes. */
function checkSum(block: Buffer, place: Place): void {
  const found = parseNumber(block, 148, 8, 'checksum', place);
  const spaces = 8 * 0x20;
  const sum = sumBytes(block, 0, 148) + spaces + sumBytes(block, 156, BLOCK_SIZE);
  if (found === sum) return;
  const highBytes = block.filter((byte, at) => byte > 0x7f && (at < 148 || at >= 156)).length;
  if (found !== sum - 256 * highBytes) {
    refuse(place, 'tar header has a wrong checksum', { expected: sum, found });
  }
}

function sumBytes(block: Buffer, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += block[i]!;
  return sum;
}

/** Whether a block is all zeros. Two of them end a tar. */
export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.every((byte) => byte === 0);
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0;
}

/** A size rounded up to whole blocks. */
export function paddedSize(size: number): number {
  return Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
}

/** Throws a `bad-input` error that names tar, offset and entry. */
export function refuse(place: Place, what: string, facts: ErrorFacts = {}): never {
  throw new PanamaxError('bad-input', what, { ...facts, where: describe(place) });
}

/** Throws a `limit` error that names the limit, tar, offset and entry. */
export function refuseLimit(place: Place, what: string, limit: number, found: number): never {
  throw new PanamaxError('limit', what, { expected: `at most ${limit}`, found, where: describe(place) });
}

function describe(place: Place): string {
  const entry = place.path ? `, entry ${place.path}` : '';
  return `${place.where} at offset ${place.offset}${entry}`;
}
