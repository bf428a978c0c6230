import { isChanged, type Comparison } from './compare.ts';
import { fileCost, UNCALIBRATED, type Calibration, type Costs } from './prediction.ts';

/** What each content of a target's signature is predicted to cost in a patch from a source, in bytes. */
export type ContentCosts = Float32Array;

/** @param count of the target's contents */
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

/** What a source takes off a patch when it stands beside another: each content is made from the better one. In bytes. */
export function coveredBytes(beside: ContentCosts, source: ContentCosts): number {
  let sum = 0;
  for (const [i, cost] of beside.entries()) sum += Math.max(0, cost - source[i]!);
  return sum;
}

/** The costs from two sources beside each other. */
export function lesserCosts(a: ContentCosts, b: ContentCosts): ContentCosts {
  return a.map((cost, i) => Math.min(cost, b[i]!));
}
