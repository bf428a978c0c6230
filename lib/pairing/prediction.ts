import type { Costs } from '../delta/costs.ts';
import type { FormatName } from '../delta/format.ts';
import { PanamaxError } from '../errors.ts';
import { isSampled, sampleCount, similarityOf, type Comparison } from './compare.ts';
import { sampledCost, smallCost } from './contentcost.ts';
import type { Target } from './target.ts';

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

const MIB = 1024 ** 2;

/** In bytes. */
export interface PatchSizes {
  /** Size of the recipe as `serializeRecipe` writes it. */
  readonly recipeSize: number;
  /** Of the target's layer stream. */
  readonly targetSize: number;
}

/** @param each the costs of the compared contents, from `contentCosts` */
export function predict(
  target: Target,
  comparison: Comparison,
  { recipeSize, targetSize }: PatchSizes,
  costs: Costs,
  calibration: Calibration = UNCALIBRATED,
  each = contentCosts(target, comparison, costs),
): Prediction {
  const { changes } = comparison;
  let changed = 0;
  let fresh = 0;
  for (let i = 0; i < changes.length; i++) {
    if (changes[i] === 1) changed += each[i]!;
    else fresh += each[i]!;
  }
  changed *= calibration.changed;
  fresh *= calibration.new;
  const fixed = costs.patch + costs.recipe * recipeSize + costs.header * comparison.entries;
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

/** Predicted bytes of each compared content in a patch. */
export function contentCosts(
  { columns, compressed, known }: Target,
  { contents, shares, counterparts }: Comparison,
  costs: Costs,
): Float64Array {
  const { sizes } = columns;
  const each = new Float64Array(contents.length);
  const base = known.get(costs);
  for (let i = 0; i < contents.length; i++) {
    const content = contents[i]!;
    const samples = sampleCount(columns, content);
    const size = sizes[content]!;
    const packed = compressed[content]!;
    if (isSampled(samples)) {
      // most contents of a distant source have nothing in common with it
      each[i] =
        shares[i] === 0 && base
          ? base[content]!
          : sampledCost(size, packed, similarityOf(shares[i]!, samples), costs);
    } else each[i] = smallCost(size, packed, counterparts[i] === 1, costs);
  }
  return each;
}
