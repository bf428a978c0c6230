import { PanamaxError } from '../errors.ts';

/** Numbers of one kind that grow: what an image of a million files needs so many of that objects would be too large. */
export interface Column<Values extends NumberArray> {
  readonly length: number;
  push(value: number): void;
  append(values: ArrayLike<number>): void;
  /** All so far, and what is behind them; good until the next one is added. */
  view(): Values;
  /** All, in memory of their own. */
  finish(): Values;
}

type NumberArray = Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

const FIRST = 1024;

/** @param make the constructor's: `(length) => new Uint32Array(length)` */
export function createColumn<Values extends NumberArray>(make: (length: number) => Values): Column<Values> {
  let values = make(FIRST);
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

/** Byte strings one behind the other. */
export interface Texts {
  readonly bytes: Uint8Array;
  /** Where each ends in `bytes`. */
  readonly ends: Uint32Array;
}

export interface TextColumn {
  push(text: string): void;
  finish(): Texts;
}

const MOST_TEXT = 2 ** 32 - 1;

/** @throws PanamaxError `limit` over 4 GiB */
export function textColumn(): TextColumn {
  const bytes = bytesColumn();
  const ends = wordsColumn();
  return {
    push(text) {
      bytes.append(Buffer.from(text, 'latin1'));
      if (bytes.length > MOST_TEXT)
        throw new PanamaxError('limit', 'paths are too long together', {
          expected: `at most ${MOST_TEXT} bytes`,
        });
      ends.push(bytes.length);
    },
    finish: () => ({ bytes: bytes.finish(), ends: ends.finish() }),
  };
}

export function textAt({ bytes, ends }: Texts, i: number): string {
  const start = i === 0 ? 0 : ends[i - 1]!;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, ends[i]! - start).toString('latin1');
}
