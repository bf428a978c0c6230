import type { Buffer } from 'node:buffer';
import type { ByteString } from './entry.ts';
import { refuse, type Place } from './header.ts';

/** The records of one pax extended header (POSIX.1-2001, "pax Extended Header"). */
export interface PaxRecords {
  /** Keyword to value; of a repeated keyword the last. Records with an empty value undo earlier ones. */
  readonly values: ReadonlyMap<string, ByteString>;
  /** GNU sparse 0.0 repeats GNU.sparse.offset and GNU.sparse.numbytes: their values in turn. */
  readonly sparseNumbers: readonly string[];
}

const XATTR = 'SCHILY.xattr.';
const MAX_LENGTH_DIGITS = 10;
const NO_XATTRS: ReadonlyMap<string, ByteString> = new Map();

/** Reads records of the form "LENGTH KEYWORD=VALUE\n", where LENGTH counts the whole record. */
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

/** A decimal number that is not negative and below 2^53. */
export function parseDecimal(digits: string, field: string, place: Place): number {
  const value = /^[0-9]+$/.test(digits) ? Number(digits) : NaN;
  if (!Number.isSafeInteger(value)) refuse(place, `malformed ${field}`, { found: digits });
  return value;
}

/** Seconds with an optional fraction, before or after the epoch. */
export function parseTime(digits: string, place: Place): number {
  const value = /^-?[0-9]+(\.[0-9]*)?$/.test(digits) ? Number(digits) : NaN;
  if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) refuse(place, 'malformed mtime', { found: digits });
  return value;
}

/** The extended attributes among the records. LIBARCHIVE.xattr.* is left out, as container engines do. */
export function xattrsOf(records: PaxRecords): ReadonlyMap<string, ByteString> {
  let xattrs: Map<string, ByteString> | undefined;
  for (const [keyword, value] of records.values) {
    if (keyword.startsWith(XATTR)) (xattrs ??= new Map()).set(keyword.slice(XATTR.length), value);
  }
  return xattrs ?? NO_XATTRS;
}
