import type { Costs } from '../delta/costs.ts';
import type { FormatName } from '../delta/format.ts';
import { PanamaxError } from '../errors.ts';
import { isChanged, type Comparison, type ComparedFile } from './compare.ts';

/** What a patch is expected to weigh and to take. */
export interface Prediction {
  /** In bytes. */
  readonly size: number;
  /** Of `size`: what tar headers, recipe and framing take, what changed files do, what new files do. */
  readonly reasons: { readonly fixed: number; readonly changed: number; readonly new: number };
  /** Processor time of encoding. */
  readonly seconds: number;
}

/** Of one source, by format. */
export type Predictions = Readonly<Record<FormatName, Prediction>>;

/** @throws PanamaxError `internal` for a format without a prediction */
export function predictionOf(predictions: Predictions, format: FormatName): Prediction {
  const prediction = predictions[format];
  if (prediction) return prediction;
  throw new PanamaxError('internal', 'no prediction of a format', { expected: format });
}

/** How far the patches of a store are from the costs above: factors for changed and new files. */
export interface Calibration {
  readonly changed: number;
  readonly new: number;
}

/** Formats without one go by the costs as they are. */
export type Calibrations = Readonly<Partial<Record<FormatName, Calibration>>>;

export const UNCALIBRATED: Calibration = { changed: 1, new: 1 };

/** Share of its size that a content is compressed to from which on it counts as compressed already. */
const DENSE = 0.8;

const MIB = 1024 ** 2;

/** In bytes. */
export interface PatchSizes {
  /** Of what a patch says of its source and target. */
  readonly recipeSize: number;
  /** Of the target's layer stream. */
  readonly targetSize: number;
}

export function predict(
  comparison: Comparison,
  { recipeSize, targetSize }: PatchSizes,
  costs: Costs,
  calibration: Calibration = UNCALIBRATED,
): Prediction {
  let changed = 0;
  let fresh = 0;
  for (const file of comparison.files) {
    if (isChanged(file)) changed += fileCost(file, costs);
    else fresh += fileCost(file, costs);
  }
  changed *= calibration.changed;
  fresh *= calibration.new;
  const fixed = costs.patch + recipeSize + costs.header * comparison.entries;
  const { secondsPerMiB } = costs;
  const seconds =
    (targetSize * secondsPerMiB.target +
      comparison.changedBytes * secondsPerMiB.changed +
      (changed + fresh) * secondsPerMiB.coded) /
    MIB;
  return {
    size: Math.round(fixed + changed + fresh),
    reasons: { fixed: Math.round(fixed), changed: Math.round(changed), new: Math.round(fresh) },
    seconds: Math.round(seconds * 10) / 10,
  };
}

export function fileCost(
  { size, compressed, hasCounterpart, similarity }: ComparedFile,
  costs: Costs,
): number {
  const { file, small, coded, slope, power, spread } = costs;
  // what hardly compresses does not compress better in a patch
  const dense = Math.max(0, (compressed / Math.max(size, 1) - DENSE) / (1 - DENSE));
  const most = coded + (1 - coded) * dense;
  if (similarity === undefined) return file + compressed * (hasCounterpart ? small : most);
  if (compressed === 0) return file;
  const quantity = slope * (-Math.log(similarity)) ** power * (size / compressed) ** spread;
  return file + compressed * most * (1 - Math.exp(-quantity / most));
}
