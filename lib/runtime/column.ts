import { PanamaxError } from '../errors.ts';

/**
 * Growable arrays, for tables of a million rows that would be too large as objects. A `Column` grows by copying. A
 * `SharedColumn` grows in place, leaves no copies behind, and can be read by other threads.
 */

export interface Column<Values extends NumberArray> {
  readonly length: number;
  push(value: number): void;
  append(values: ArrayLike<number>): void;
  /** The values so far, then unused elements. Valid until the next value is added. */
  view(): Values;
  /** The values, in an array of exactly their length. */
  finish(): Values;
}

type NumberArray = Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/** In elements. */
const INITIAL_CAPACITY = 1024;

function createColumn<Values extends NumberArray>(make: (length: number) => Values): Column<Values> {
  let values = make(INITIAL_CAPACITY);
  let length = 0;

  function reserve(count: number): void {
    if (length + count <= values.length) return;
    const grown = make(Math.ceil(Math.max(length + count, values.length * 1.5)));
    grown.set(values.subarray(0, length));
    values = grown;
  }

  return {
    get length() {
      return length;
    },
    push(value) {
      reserve(1);
      values[length++] = value;
    },
    append(more) {
      reserve(more.length);
      values.set(more, length);
      length += more.length;
    },
    view: () => values,
    finish() {
      if (length === values.length) return values;
      const exact = make(length);
      exact.set(values.subarray(0, length));
      return exact;
    },
  };
}

export const bytesColumn = (): Column<Uint8Array<ArrayBuffer>> =>
  createColumn((length) => new Uint8Array(length));
export const wordsColumn = (): Column<Uint32Array<ArrayBuffer>> =>
  createColumn((length) => new Uint32Array(length));
export const numbersColumn = (): Column<Float64Array<ArrayBuffer>> =>
  createColumn((length) => new Float64Array(length));

/** Strings of bytes, concatenated. */
export interface Texts {
  readonly bytes: Uint8Array;
  /** The end of each string in `bytes`. */
  readonly ends: Uint32Array;
}

export interface TextColumn {
  push(text: string): void;
  finish(): Texts;
}

const MAX_TEXT_BYTES = 2 ** 32 - 1;

/** @throws PanamaxError `limit` over 4 GiB */
export function textColumn(): TextColumn {
  const bytes = bytesColumn();
  const ends = wordsColumn();
  return {
    push(text) {
      bytes.append(Buffer.from(text, 'latin1'));
      if (bytes.length > MAX_TEXT_BYTES)
        throw new PanamaxError('limit', 'paths are too long together', {
          expected: `at most ${MAX_TEXT_BYTES} bytes`,
        });
      ends.push(bytes.length);
    },
    finish: () => ({ bytes: bytes.finish(), ends: ends.finish() }),
  };
}

/** String `i`, one UTF-16 unit for each byte. */
export function textAt({ bytes, ends }: Texts, i: number): string {
  const start = i === 0 ? 0 : ends[i - 1]!;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, ends[i]! - start).toString('latin1');
}

/** The memory below a typed array: arrays of the whole buffer follow its length. */
export type SharedColumn = SharedArrayBuffer;

/** A shared column doubles its size, up to this many bytes at a time. */
const GROWTH_STEP = 1024 ** 2;
/** Bytes by which it grows at least. */
const MIN_GROWTH = 16 * 1024;

/** @param maxSize in bytes: so many addresses are reserved, memory is taken when it is written */
export function createSharedColumn(maxSize: number): SharedColumn {
  return new SharedArrayBuffer(0, { maxByteLength: maxSize });
}

/** Grows a shared column to at least `size` bytes. */
export function growSharedColumn(column: SharedColumn, size: number): void {
  if (size <= column.byteLength) return;
  const growth = Math.min(GROWTH_STEP, Math.max(MIN_GROWTH, column.byteLength));
  column.grow(Math.min(column.maxByteLength, Math.max(size, column.byteLength + growth)));
}
