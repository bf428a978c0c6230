import type { ErrorKind } from '../../lib/errors.ts';
import type { Scope } from '../support/scope.ts';

/** A decoder under test. */
export interface FuzzTarget {
  /** Sound inputs, made by the encoders. */
  readonly seeds: readonly Uint8Array[];
  /** Kinds of the errors that the decoder may throw. */
  readonly kinds: readonly ErrorKind[];
  /** The decoder knows no file: its caller adds the place to its errors. Else each error has to name its place. */
  readonly isInner?: true;
  /** Pieces of text that are inserted. */
  readonly words?: readonly string[];
  /** Decodes an input. Throws an AssertionError for a result that must not be. */
  run(input: Buffer): unknown;
  /** Length of a part at the start of an input that most changes leave out. */
  head?(input: Buffer): number;
  /** Makes checksums right, so that damage behind them is reached. Half of the inputs pass through it. */
  repair?(input: Buffer): Buffer;
}

/** A module of `targets/` exports this as `open`. Its resources end with the scope. */
export type OpenTarget = (scope: Scope) => FuzzTarget | Promise<FuzzTarget>;
