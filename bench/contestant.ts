import type { ImagePair } from './corpus.ts';
import type { CommandLine } from './measure.ts';
import type { Contender } from './results.ts';

/** A program with its options, or panamax with a format and effort. */
export interface Contestant extends Contender {
  /** The program that must be installed. */
  readonly program: string;
  /** The reason to skip a pair, or undefined. */
  passesOver?(pair: ImagePair): string | undefined;
  encode(pair: ImagePair, patch: string): CommandLine;
  /** Applies the patch to the source's layer stream. Undefined for programs that do not take layer streams. */
  apply?(pair: ImagePair, patch: string, output: string): CommandLine;
  /** Applies the patch by the stock program of the format. */
  stockApply?(pair: ImagePair, patch: string, output: string): CommandLine;
}
