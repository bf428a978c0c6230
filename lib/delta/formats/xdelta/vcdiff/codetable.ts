/**
 * The default code table of RFC 3284, section 5.6. Each of the 256 opcodes is one instruction or a pair of them; a size
 * of 0 means that the size follows as an integer.
 */
export const NOOP = 0;
export const ADD = 1;
export const RUN = 2;
/** COPY with address mode m is COPY + m. */
export const COPY = 3;

/** Address modes: 0 SELF, 1 HERE, then the near and the same cache. */
export const MODE_SELF = 0;
export const MODE_HERE = 1;
export const NEAR_SLOTS = 4;
export const SAME_SLOTS = 3;
const MODES = 2 + NEAR_SLOTS + SAME_SLOTS;

export interface CodeTable {
  readonly type1: Uint8Array;
  readonly size1: Uint8Array;
  readonly type2: Uint8Array;
  readonly size2: Uint8Array;
}

export const CODE_TABLE: CodeTable = defaultCodeTable();

/** The opcode of one ADD: with its size in the opcode (1 to 17), or followed by the size. */
export function addOpcode(size: number): number {
  return size >= 1 && size <= 17 ? 1 + size : 1;
}

/** The opcode of one COPY: with its size in the opcode (4 to 18), or followed by the size. */
export function copyOpcode(mode: number, size: number): number {
  return 19 + 16 * mode + (size >= 4 && size <= 18 ? size - 3 : 0);
}

/** The opcode of an ADD followed by a COPY, or -1 if the table has none. */
export function addCopyOpcode(addSize: number, mode: number, copySize: number): number {
  if (addSize < 1 || addSize > 4 || copySize < 4) return -1;
  if (mode < 6) return copySize > 6 ? -1 : 163 + 12 * mode + 3 * (addSize - 1) + (copySize - 4);
  return copySize > 4 ? -1 : 235 + 4 * (mode - 6) + (addSize - 1);
}

/** The opcode of a COPY followed by an ADD, or -1 if the table has none. */
export function copyAddOpcode(mode: number, copySize: number, addSize: number): number {
  return copySize === 4 && addSize === 1 ? 247 + mode : -1;
}

function defaultCodeTable(): CodeTable {
  const table = {
    type1: new Uint8Array(256),
    size1: new Uint8Array(256),
    type2: new Uint8Array(256),
    size2: new Uint8Array(256),
  };
  let next = 0;
  const define = (type1: number, size1: number, type2 = NOOP, size2 = 0): void => {
    table.type1[next] = type1;
    table.size1[next] = size1;
    table.type2[next] = type2;
    table.size2[next++] = size2;
  };
  define(RUN, 0);
  for (let size = 0; size <= 17; size++) define(ADD, size);
  for (let mode = 0; mode < MODES; mode++) {
    define(COPY + mode, 0);
    for (let size = 4; size <= 18; size++) define(COPY + mode, size);
  }
  for (let mode = 0; mode < 6; mode++) {
    for (let add = 1; add <= 4; add++) {
      for (let copy = 4; copy <= 6; copy++) define(ADD, add, COPY + mode, copy);
    }
  }
  for (let mode = 6; mode < MODES; mode++) {
    for (let add = 1; add <= 4; add++) define(ADD, add, COPY + mode, 4);
  }
  for (let mode = 0; mode < MODES; mode++) define(COPY + mode, 4, ADD, 1);
  return table;
}
