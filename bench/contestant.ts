import type { ImagePair } from './corpus.ts';
import type { CommandLine } from './measure.ts';
import type { Contender } from './results.ts';

/** A way to make patches: a program with its options, or panamax in a format and effort. */
export interface Contestant extends Contender {
  /** What it needs installed to make patches. */
  readonly program: string;
  /** Why it is not asked to make a patch of a pair. */
  passesOver?(pair: ImagePair): string | undefined;
  encode(pair: ImagePair, patch: string): CommandLine;
  /** Makes the target's layer stream of the source's; undefined where the program takes something else. */
  apply?(pair: ImagePair, patch: string, output: string): CommandLine;
  /** The same by the stock program of the format. */
  stockApply?(pair: ImagePair, patch: string, output: string): CommandLine;
}
