/** What a parser chooses: symbols for a stretch of bytes, for the coder to write. */
export interface Parser {
  /** Lengths and steps of the symbols chosen last, in order. */
  readonly lengths: Uint16Array;
  readonly steps: Int32Array;
  /** Forgets what it knew of the coder's probabilities and of the bytes to come. */
  reset(): void;
  /** Chooses symbols from `at` on, for at least one byte and not beyond `end`; returns how many symbols. */
  parse(at: number, end: number): number;
}

/** A step is a literal, a repeated match (0 to 3), or a match (4 + distance - 1). */
export const LITERAL_STEP = -1;
export const FIRST_MATCH_STEP = 4;
