import { PanamaxError } from '../../errors.ts';

/**
 * Typed columns in one buffer. A table starts with its counts, a 32-bit word each, least significant byte first. The
 * columns follow in the order of the scheme, those with the widest elements first, so that each is aligned and can be
 * used in place.
 */

type Values = Float64ArrayConstructor | Uint32ArrayConstructor | Uint8ArrayConstructor;

/** The columns by name: the type of the elements, the count, and the number of elements for each of the count. */
export type Scheme = Readonly<Record<string, readonly [values: Values, count: string, each?: number]>>;

export type Columns<S extends Scheme> = { readonly [Name in keyof S]: ColumnOf<S[Name][0]> };
type ColumnOf<Type extends Values> = Type extends Float64ArrayConstructor
  ? Float64Array
  : Type extends Uint32ArrayConstructor
    ? Uint32Array
    : Uint8Array;

/** Bytes of the counts, with padding to a multiple of 8. */
function headSize(countNames: readonly string[]): number {
  return Math.ceil(countNames.length / 2) * 8;
}

function countNamesOf(scheme: Scheme): string[] {
  return [...new Set(Object.values(scheme).map(([, count]) => count))];
}

/** Writes columns to one buffer. Their lengths must fit together. */
export function packTable<S extends Scheme>(scheme: S, columns: Columns<S>): Buffer<ArrayBuffer> {
  const names = countNamesOf(scheme);
  const counts = new Map<string, number>();
  let size = headSize(names);
  for (const [name, [, count, each = 1]] of Object.entries(scheme)) {
    const { length, byteLength } = columns[name]!;
    if (length !== (counts.get(count) ?? length / each) * each) {
      throw new PanamaxError('internal', `column ${name} has another length`, { found: length });
    }
    counts.set(count, length / each);
    size += byteLength;
  }
  const packed = Buffer.alloc(size);
  for (const [i, name] of names.entries()) packed.writeUInt32LE(counts.get(name)!, 4 * i);
  let at = headSize(names);
  for (const name of Object.keys(scheme)) {
    const { buffer, byteOffset, byteLength } = columns[name]!;
    packed.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return packed;
}

/**
 * The columns of a table, as views of its buffer.
 *
 * @param buffer begins with the table and ends with it
 * @throws PanamaxError `bad-input` if the counts do not make up the size of the buffer
 */
export function openTable<S extends Scheme>(scheme: S, buffer: ArrayBufferLike, where: string): Columns<S> {
  const names = countNamesOf(scheme);
  const head = new DataView(buffer);
  let size = headSize(names);
  const counts = new Map<string, number>();
  if (size <= buffer.byteLength) {
    for (const [i, name] of names.entries()) counts.set(name, head.getUint32(4 * i, true));
    for (const [{ BYTES_PER_ELEMENT }, count, each = 1] of Object.values(scheme)) {
      size += BYTES_PER_ELEMENT * each * counts.get(count)!;
    }
  }
  if (size !== buffer.byteLength) {
    throw new PanamaxError('bad-input', 'counts of a table do not make up its size', {
      expected: `${buffer.byteLength} bytes`,
      found: `${size} bytes`,
      where,
    });
  }
  let at = headSize(names);
  const columns: Record<string, unknown> = {};
  for (const [name, [type, count, each = 1]] of Object.entries(scheme)) {
    const column = new type(buffer as ArrayBuffer, at, each * counts.get(count)!);
    columns[name] = column;
    at += column.byteLength;
  }
  return columns as Columns<S>;
}

/** Checks of a whole column. Each throws a PanamaxError `bad-input` that names the column. */
export interface ColumnChecks {
  /** Whole numbers from 0 to 2^53 - 1. */
  sizes(name: string, column: Float64Array): void;
  /** From `least` to `most`. */
  between(name: string, column: ArrayLike<number>, least: number, most: number): void;
  /** Each above the one before, finite and not negative. */
  ascending(name: string, column: Float64Array | Uint32Array): void;
  /** Each at least `least` above the one before, the last equal to `total`; of no rows `total` is 0. */
  ends(name: string, column: Uint32Array, total: number, least?: number): void;
  /** Each number below `count` once. */
  permutation(name: string, column: Uint32Array, count: number): void;
  refuse(name: string, expected: string, found: number | string): never;
}

export function columnChecks(where: string): ColumnChecks {
  const refuse = (name: string, expected: string, found: number | string): never => {
    throw new PanamaxError('bad-input', `damaged column ${name}`, { expected, found: String(found), where });
  };
  return {
    refuse,
    sizes(name, column) {
      for (let i = 0; i < column.length; i++) {
        const value = column[i]!;
        if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER && value === Math.floor(value)))
          refuse(name, 'whole numbers from 0', value);
      }
    },
    between(name, column, least, most) {
      for (let i = 0; i < column.length; i++) {
        const value = column[i]!;
        if (!(value >= least && value <= most)) refuse(name, `from ${least} to ${most}`, value);
      }
    },
    ascending(name, column) {
      let before = -1;
      for (let i = 0; i < column.length; i++) {
        const value = column[i]!;
        if (!(value > before && value < Infinity)) refuse(name, 'ascending numbers', value);
        before = value;
      }
    },
    ends(name, column, total, least = 0) {
      let before = 0;
      for (let i = 0; i < column.length; i++) {
        const value = column[i]!;
        if (value < before + least) refuse(name, `an end from ${before + least}`, value);
        before = value;
      }
      if (before !== total) refuse(name, `a last end of ${total}`, before);
    },
    permutation(name, column, count) {
      const seen = new Uint8Array(count);
      for (let i = 0; i < column.length; i++) {
        const value = column[i]!;
        if (value >= count || seen[value] === 1) refuse(name, `each number below ${count} once`, value);
        seen[value] = 1;
      }
      if (column.length !== count) refuse(name, `${count} numbers`, column.length);
    },
  };
}
