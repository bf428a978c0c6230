import type { Buffer } from 'node:buffer';
import type { ByteString } from './entry.ts';
import { MAX_TIME, refuse, type Place } from './header.ts';

/** The records of one pax extended header (POSIX.1-2001, "pax Extended Header"). */
export interface PaxRecords {
  /** Values by keyword. The last record of a keyword counts; an empty value removes earlier records. */
  readonly values: ReadonlyMap<string, ByteString>;
  /** The alternating values of GNU.sparse.offset and GNU.sparse.numbytes, which GNU sparse 0.0 repeats. */
  readonly sparseNumbers: readonly string[];
}

const XATTR = 'SCHILY.xattr.';
const MAX_LENGTH_DIGITS = 10;
const NO_XATTRS: ReadonlyMap<string, ByteString> = new Map();

/** Parses records "LENGTH KEYWORD=VALUE\n"; LENGTH is that of the whole record. */
export function parsePax(body: Buffer, place: Place): PaxRecords {
  const values = new Map<string, ByteString>();
  const sparseNumbers: string[] = [];
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(' ', at);
    if (space < 0 || space - at > MAX_LENGTH_DIGITS) refuse(place, 'pax record has no length');
    const length = parseDecimal(body.toString('latin1', at, space), 'record length', place);
    const end = at + length;
    if (end > body.length || end < space + 2 || body[end - 1] !== 0x0a) {
      refuse(place, 'pax record has a wrong length', { found: length });
    }
    const record = body.toString('latin1', space + 1, end - 1);
    const equals = record.indexOf('=');
    if (equals < 1) refuse(place, 'pax record has no keyword');
    const keyword = record.slice(0, equals);
    const value = record.slice(equals + 1);
    if (keyword.includes('\0')) refuse(place, 'pax keyword has a NUL in it');
    if (keyword === 'GNU.sparse.offset' || keyword === 'GNU.sparse.numbytes') {
      const expected = sparseNumbers.length % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes';
      if (keyword !== expected) refuse(place, 'sparse map is out of order', { expected, found: keyword });
      sparseNumbers.push(value);
    } else {
      values.set(keyword, value);
    }
    at = end;
  }
  return { values, sparseNumbers };
}

/** Parses a decimal number from 0 to 2^53 - 1. A plus sign is allowed, as Go allows it. */
export function parseDecimal(digits: string, field: string, place: Place): number {
  const value = /^\+?[0-9]+$/.test(digits) ? Number(digits) : NaN;
  if (!Number.isSafeInteger(value)) refuse(place, `malformed ${field}`, { found: digits });
  return value;
}

/**
 * Parses a uid or gid: a number of 64 bits with an optional sign. Reduced to 32 bits without a sign, as the kernel does
 * with the numbers that engines pass to it.
 */
export function parseId(digits: string, field: string, place: Place): number {
  const value = /^[-+]?[0-9]{1,64}$/.test(digits) ? BigInt(digits.replace(/^\+/, '')) : undefined;
  if (value === undefined || BigInt.asIntN(64, value) !== value) {
    refuse(place, `malformed ${field}`, { found: digits });
  }
  return Number(BigInt.asUintN(32, value));
}

/** Parses seconds since the epoch, with an optional sign and fraction. Beyond 2^53 they are rounded. */
export function parseTime(digits: string, place: Place): number {
  const value = /^[-+]?[0-9]+(\.[0-9]*)?$/.test(digits) ? Number(digits) : NaN;
  if (!(Math.abs(value) <= MAX_TIME)) refuse(place, 'malformed mtime', { found: digits });
  return value;
}

/** The extended attributes of the records. Like container engines, it ignores LIBARCHIVE.xattr.*. */
export function xattrsOf(records: PaxRecords): ReadonlyMap<string, ByteString> {
  let xattrs: Map<string, ByteString> | undefined;
  for (const [keyword, value] of records.values) {
    if (keyword.startsWith(XATTR)) (xattrs ??= new Map()).set(keyword.slice(XATTR.length), value);
  }
  return xattrs ?? NO_XATTRS;
}
