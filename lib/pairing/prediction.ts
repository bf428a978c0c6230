import type { Costs } from '../delta/costs.ts';
import type { FormatName } from '../delta/format.ts';
import { PanamaxError } from '../errors.ts';
import { isChanged, type Comparison, type ComparedFile } from './compare.ts';

/** Expected size of a patch and time of its encoding. */
export interface Prediction {
  /** In bytes. */
  readonly size: number;
  /** Parts of `size`: tar headers, recipe and framing; changed files; new files. */
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

/** Factors by which the patches of a store differ from the costs, for changed and new files. */
export interface Calibration {
  readonly changed: number;
  readonly new: number;
}

/** A format without a calibration uses its costs unchanged. */
export type Calibrations = Readonly<Partial<Record<FormatName, Calibration>>>;

export const UNCALIBRATED: Calibration = { changed: 1, new: 1 };

/** Compressed size of a file, as a share of its size, from which on it counts as already compressed. */
const DENSE = 0.8;

const MIB = 1024 ** 2;

/** In bytes. */
export interface PatchSizes {
  /** Size of the recipe. */
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
  // content that hardly compresses does not compress better in a patch
  const dense = Math.max(0, (compressed / Math.max(size, 1) - DENSE) / (1 - DENSE));
  const most = coded + (1 - coded) * dense;
  if (similarity === undefined) return file + compressed * (hasCounterpart ? small : most);
  if (compressed === 0) return file;
  const quantity = slope * (-Math.log(similarity)) ** power * (size / compressed) ** spread;
  return file + compressed * most * (1 - Math.exp(-quantity / most));
}
