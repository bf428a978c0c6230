import { isChanged, type Comparison } from './compare.ts';
import type { Costs } from '../delta/costs.ts';
import { fileCost, UNCALIBRATED, type Calibration } from './prediction.ts';

/** Predicted bytes in a patch from one source, by the content's index in the target's signature. */
export type ContentCosts = Float32Array;

/** @param count the number of contents of the target */
export function contentCosts(
  count: number,
  { files }: Comparison,
  costs: Costs,
  calibration: Calibration = UNCALIBRATED,
): ContentCosts {
  const each = new Float32Array(count);
  for (const file of files) {
    const factor = isChanged(file) ? calibration.changed : calibration.new;
    each[file.content] = factor * fileCost(file, costs);
  }
  return each;
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
