import type { PatchFormat } from '../delta/format.ts';
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

/**
 * What things cost in a patch of one format, in bytes. A changed file of `size` bytes, `compressed` by gzip, of which a
 * share is common with the source, is taken to be changed in single places at random: a window of 32 bytes survives
 * with a chance that falls exponentially with their density, so that -log(share) is proportional to their number.
 * What they cost together can't be more than the file compressed: hence
 *
 *     compressed * coded * (1 - exp(-q / coded)),  q = slope * (-log share) ^ power * (size / compressed) ^ spread
 */
export interface Costs {
  /** Per patch, the recipe aside. */
  readonly patch: number;
  /** Per tar header. */
  readonly header: number;
  /** Per changed or new file. */
  readonly file: number;
  /** Per compressed byte of a small file that has a counterpart. */
  readonly small: number;
  /** Per compressed byte of what is new. */
  readonly coded: number;
  readonly slope: number;
  readonly power: number;
  readonly spread: number;
  /** Processor seconds per MiB of the target, of changed files, of what is coded. */
  readonly secondsPerMiB: { readonly target: number; readonly changed: number; readonly coded: number };
}

/** Fitted to pairs of the dev corpus (docs/pairing.md); all for effort `default`. */
export const COSTS: Readonly<Record<PatchFormat, Costs>> = {
  xdelta: {
    patch: 318,
    header: 0.549,
    file: 83.6,
    small: 0.00884,
    coded: 0.811,
    slope: 0.124,
    power: 1.98,
    spread: 1.6,
    secondsPerMiB: { target: 0.0115, changed: 0.0735, coded: 0.431 },
  },
  // every changed tar header is data here
  'oci-delta': {
    patch: 2170,
    header: 22.9,
    file: 86,
    small: 0.0151,
    coded: 0.788,
    slope: 0.107,
    power: 2.55,
    spread: 1.54,
    secondsPerMiB: { target: 0.0088, changed: 0.0852, coded: 0.171 },
  },
};

/** How far the patches of a store are from the costs above: factors for changed and new files. */
export interface Calibration {
  readonly changed: number;
  readonly new: number;
}

/** Formats without one go by the costs as they are. */
export type Calibrations = Readonly<Partial<Record<PatchFormat, Calibration>>>;

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
