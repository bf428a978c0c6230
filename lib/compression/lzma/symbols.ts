/** Chooses symbols for a range of bytes. */
export interface Parser {
  /** Lengths and steps of the last chosen symbols. */
  readonly lengths: Uint16Array;
  readonly steps: Int32Array;
  /** Drops cached prices and matches. */
  reset(): void;
  /** Chooses symbols from `at` on, for at least one byte and at most to `end`. @returns their number */
  parse(at: number, end: number): number;
}

/** A step is a literal, a repeated match (0 to 3), or a match (4 + distance - 1). */
export const LITERAL_STEP = -1;
export const FIRST_MATCH_STEP = 4;
