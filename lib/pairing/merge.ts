/** Searches for the values of one ascending column in another. */

/** The place of a value that is not in the other column. */
export const NOWHERE = -1;

/**
 * For each value of `one` its place in `other`, or `NOWHERE`. Both are ascending. The loop has no branches that depend on the
 * values, since a processor cannot predict them.
 */
export function mergeNumbers(one: Float64Array, other: Float64Array): Int32Array {
  const places = new Int32Array(one.length);
  const [m, n] = [one.length, other.length];
  let i = 0;
  for (let j = 0; i < m && j < n;) {
    const a = one[i]!;
    const b = other[j]!;
    places[i] = a === b ? j : NOWHERE;
    // compiled without a branch, unlike a conditional
    i += Number(a <= b);
    j += Number(b <= a);
  }
  return places.fill(NOWHERE, i);
}

/** As `mergeNumbers`: a function for each type of column is compiled to faster code than one for both. */
export function mergeWords(one: Uint32Array, other: Uint32Array): Int32Array {
  const places = new Int32Array(one.length);
  const [m, n] = [one.length, other.length];
  let i = 0;
  for (let j = 0; i < m && j < n;) {
    const a = one[i]!;
    const b = other[j]!;
    places[i] = a === b ? j : NOWHERE;
    // compiled without a branch, unlike a conditional
    i += Number(a <= b);
    j += Number(b <= a);
  }
  return places.fill(NOWHERE, i);
}

/** The place of a value in an ascending column, or `NOWHERE`. */
export function placeOf(column: Uint32Array, value: number): number {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (column[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return column[low] === value ? low : NOWHERE;
}

/** The start of row `i` in a column that `ends` divides. */
export function startOf(ends: Uint32Array, i: number): number {
  return i === 0 ? 0 : ends[i - 1]!;
}
