/** Taken at a time, in bytes. */
const STEP = 1024 ** 2;

/** Memory for a column of a table that grows where it is, so that no copies of it are left behind, and that threads share. */
export type Column = SharedArrayBuffer;

/** @param max bytes it may come to: addresses are reserved for so many, memory is taken as it is written */
export function createColumn(max: number): Column {
  return new SharedArrayBuffer(0, { maxByteLength: max });
}

/** Sees to it that a column has at least so many bytes. */
export function extend(column: Column, size: number): void {
  if (size <= column.byteLength) return;
  column.grow(Math.min(column.maxByteLength, Math.max(size, column.byteLength + STEP)));
}
