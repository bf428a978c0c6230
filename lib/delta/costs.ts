/**
 * Costs of the parts of a patch in one format, in bytes; the pairing predicts sizes from them. Take a changed file of
 * `size` bytes, `compressed` by gzip, that shares a fraction of its content with the source. Its changes are modelled
 * as single random places: a window of 32 bytes survives with a probability that falls exponentially with their
 * density, so `-log(share)` is proportional to their number. Together they cannot cost more than the compressed file:
 *
 *     compressed * coded * (1 - exp(-q / coded)),  q = slope * (-log share) ^ power * (size / compressed) ^ spread
 */
export interface Costs {
  /** Per patch, without the recipe. */
  readonly patch: number;
  /** Per byte of the recipe as `serializeRecipe` writes it. */
  readonly recipe: number;
  /** Per tar header. */
  readonly header: number;
  /** Per changed or new file. */
  readonly file: number;
  /** Per compressed byte of a small file that has a counterpart. */
  readonly small: number;
  /** Per compressed byte of new content. */
  readonly coded: number;
  readonly slope: number;
  readonly power: number;
  readonly spread: number;
  /** Processor seconds per MiB of the target, of changed files and of coded bytes. */
  readonly secondsPerMiB: { readonly target: number; readonly changed: number; readonly coded: number };
}
