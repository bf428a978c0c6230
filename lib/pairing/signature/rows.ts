import { asArray, parseDocument } from '../../json.ts';
import { PanamaxError } from '../../errors.ts';

/**
 * Receives one parsed row of an array.
 *
 * @param index of the outer element for arrays at `key.key`, such as the layer for `layers.files`
 */
type TakeRow = (row: unknown, index: number) => void;

/** Bytes of rows that are parsed at once. */
const BATCH = 64 * 1024;
/** Bound in bytes on one row, and on the document without its rows. */
const MAX_BUFFERED = 64 * 1024 ** 2;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Reads a JSON document that is too large to be parsed at once. The rows of selected arrays are parsed in batches and
 * passed on one by one. The returned document has these arrays empty.
 *
 * @param take the receiver of rows by the path of the array: `key` for an array of the document, `key.key` for an array in
 *   each element of an array of the document
 * @throws PanamaxError `bad-input` for a document that is not UTF-8, not JSON, or too long outside the selected arrays;
 *   errors of a receiver are passed on
 */
export async function readRows(
  pieces: AsyncIterable<Buffer>,
  take: Readonly<Record<string, TakeRow>>,
  where: string,
): Promise<unknown> {
  const frame = createBuffered(where);
  const batch = createBuffered(where);
  /** For each open object its current key, for each open array the index of its current element. */
  const open: (string | number)[] = [];
  let token = '';
  let inString = false;
  let isEscaped = false;
  let taker: TakeRow | undefined;
  let index = 0;
  /** Number of open objects and arrays within the current row. */
  let depth = 0;
  let wasCut = false;

  const takeBatch = (isLast: boolean) => {
    const text = batch.take();
    const rows = asArray(
      parseDocument(Buffer.concat([Buffer.from('['), text, Buffer.from(']')]), where),
      where,
    );
    if (rows.length === 0 && (wasCut || !isLast)) throw new PanamaxError('bad-input', 'empty row', { where });
    for (const row of rows) taker!(row, index);
    wasCut = !isLast;
  };

  /** The path of the array that begins here, if it is at a level that `take` can name. */
  const pathOf = (): string | undefined => {
    const [key, element, inner] = open;
    if (open.length === 1 && typeof key === 'string') return key;
    if (open.length !== 3 || typeof element !== 'number' || typeof inner !== 'string') return undefined;
    index = element;
    return `${key}.${inner}`;
  };

  for await (const piece of pieces) {
    let start = 0;
    let quote = -1;
    let backslash = -1;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at]!;
      if (inString) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) inString = false;
        else {
          // strings are most of the document, so their ends are searched by indexOf
          if (quote < at) quote = firstOf(piece, QUOTE, at);
          if (backslash < at) backslash = firstOf(piece, BACKSLASH, at);
          const end = Math.min(quote, backslash);
          if (!taker && token.length < 16) token += piece.toString('latin1', at, Math.min(end, at + 16));
          at = end - 1;
        }
        continue;
      }
      if (byte === QUOTE) {
        inString = true;
        token = '';
      } else if (taker) {
        if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
        else if (byte === CLOSE_OBJECT || (byte === CLOSE_ARRAY && depth > 0)) depth--;
        else if (byte === CLOSE_ARRAY) {
          batch.add(piece.subarray(start, at));
          takeBatch(true);
          start = at;
          taker = undefined;
        } else if (byte === COMMA && depth === 0 && batch.size + at - start >= BATCH) {
          batch.add(piece.subarray(start, at));
          takeBatch(false);
          start = at + 1;
        }
      } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        if (open.length > 0 && typeof open.at(-1) === 'string') open[open.length - 1] = token;
        const path = byte === OPEN_ARRAY ? pathOf() : undefined;
        taker = path !== undefined && Object.hasOwn(take, path) ? take[path] : undefined;
        if (taker) {
          frame.add(piece.subarray(start, at + 1));
          start = at + 1;
          depth = 0;
          wasCut = false;
        } else open.push(byte === OPEN_ARRAY ? 0 : '');
      } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) open.pop();
      else if (byte === COMMA) {
        const last = open.at(-1);
        if (typeof last === 'number') open[open.length - 1] = last + 1;
      }
    }
    (taker ? batch : frame).add(piece.subarray(start));
  }
  if (taker) throw new PanamaxError('bad-input', 'the document ends in an array', { where });
  return parseDocument(frame.take(), where);
}

/** Offset of the next such byte, or the length if there is none. */
function firstOf(piece: Buffer, byte: number, from: number): number {
  const at = piece.indexOf(byte, from);
  return at < 0 ? piece.length : at;
}

function createBuffered(where: string) {
  let parts: Buffer[] = [];
  let size = 0;
  return {
    get size() {
      return size;
    },
    add(part: Buffer): void {
      if (part.length === 0) return;
      parts.push(part);
      size += part.length;
      if (size > MAX_BUFFERED)
        throw new PanamaxError('bad-input', 'unexpectedly long part of a document', {
          expected: `at most ${MAX_BUFFERED} bytes`,
          where,
        });
    },
    take(): Buffer {
      const all = Buffer.concat(parts, size);
      parts = [];
      size = 0;
      return all;
    },
  };
}
