import type { Comparison } from './compare.ts';
import { UNCALIBRATED, type Calibration } from './prediction.ts';
import type { Target } from './target.ts';

/** Predicted bytes in a patch from one source, by the content's index in the target's signature. */
export type ContentCosts = Float32Array;

/** @param each the costs of the compared contents, before calibration */
export function calibratedCosts(
  { columns }: Target,
  { contents, changes }: Comparison,
  each: Float64Array,
  calibration: Calibration = UNCALIBRATED,
): ContentCosts {
  const all = new Float32Array(columns.sizes.length);
  for (let i = 0; i < contents.length; i++)
    all[contents[i]!] = (changes[i] === 1 ? calibration.changed : calibration.new) * each[i]!;
  return all;
}

/**
 * Bytes that a second source saves in a patch, since each content is made from the cheaper of the two.
 *
 * @param beside the costs from the first source
 */
export function coveredBytes(beside: ContentCosts, source: ContentCosts): number {
  let sum = 0;
  for (const [i, cost] of beside.entries()) sum += Math.max(0, cost - source[i]!);
  return sum;
}

/** The costs from two sources combined into one. */
export function lesserCosts(a: ContentCosts, b: ContentCosts): ContentCosts {
  return a.map((cost, i) => Math.min(cost, b[i]!));
}
