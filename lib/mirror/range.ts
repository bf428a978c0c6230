/** Bytes from `start` to `end`, which is not included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Parses a Range header (RFC 9110, section 14.2) for an object of a size.
 *
 * @returns undefined if the whole object is to be sent: no header, another unit, several ranges, malformed;
 *   `unsatisfiable` if the object has none of the bytes
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const [, from, to] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header ?? '') ?? [];
  if (from === undefined || to === undefined || (from === '' && to === '')) return undefined;
  if (from === '') {
    const count = Number(to);
    return count === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - count), end: size };
  }
  const start = Number(from);
  const last = to === '' ? size - 1 : Number(to);
  if (last < start && to !== '') return undefined;
  return start >= size ? 'unsatisfiable' : { start, end: Math.min(last + 1, size) };
}
