import { checkSeal, sealDocument } from '../sealed.ts';
import type { FormatName } from '../delta/format.ts';
import { DEFAULT_FORMAT, formatNamed, formatNames, patchFormats } from '../delta/formats.ts';
import { digestOf, parseDigest, type Digest } from '../digest.ts';
import { asArray, asInteger, asRecord, asSize, parseVersioned } from '../json.ts';
import { PanamaxError } from '../errors.ts';
import { combineDigests } from '../image/combined.ts';
import { pullSize } from '../image/record.ts';
import type { Costs } from '../delta/costs.ts';
import { parseFactors } from './calibration.ts';
import { compareProfiles, type Comparison } from './compare.ts';
import { calibratedCosts, type ContentCosts } from './cover.ts';
import {
  contentCosts,
  predict,
  predictionOf,
  type Calibrations,
  type PatchSizes,
  type Prediction,
  type Predictions,
} from './prediction.ts';
import { profileOf, type Profile, type ProfileLayer } from './signature/profile.ts';
import type { Signature } from './signature/signature.ts';
import { tlshDistance } from './signature/tlsh.ts';
import { asTarget, type Target } from './target.ts';

/** An image, or several as one, as a possible source of a target. */
export interface Candidate {
  readonly source: Digest;
  /** Manifests of several images that are one source, in the order of their layers; `source` names them together. */
  readonly images?: readonly Digest[];
  /** Null if one of the two has no TLSH. Small is similar; misleading across families of images. */
  readonly tlshDistance: number | null;
  /** Bytes of target files whose content the source has at any path. All layers count, with hidden files. */
  readonly identicalBytes: number;
  /** Bytes of target files with similar content in the source or earlier in the target. */
  readonly changedBytes: number;
  /** Bytes of target files without similar content. */
  readonly newBytes: number;
  /** Layers that both share, in uncompressed bytes. */
  readonly sharedLayerBytes: number;
  /** Of a patch in the default format: candidates are ranked by it. */
  readonly predictedPatchSize: number;
  readonly predictions: Predictions;
  /** Bytes that a pull moves at a site that has the source. */
  readonly pullSize: number;
  /** Seconds from the creation of the target to that of the source; undefined if an image has no time. */
  readonly newerBy?: number;
}

export interface Ranking {
  readonly target: Digest;
  /** Calibrations used by the predictions; `{}` without any. */
  readonly calibrations: Calibrations;
  /** Best first. */
  readonly candidates: readonly Candidate[];
}

/** Goes up with each change of document or formula; rankings of other versions are made again. */
export const RANKING_VERSION = 11;

/** A patch is worth making up to this share of a pull. */
const WORTH = 0.95;

/** Bytes of a source layer in a recipe. */
const RECIPE_LAYER = 61;

/** Input of the predictions for a target and its source. */
export interface Evidence {
  readonly compared: Comparison;
  readonly sizes: PatchSizes;
}

export function evidenceOf(target: Target, sources: readonly Profile[]): Evidence {
  const recipeSize = target.recipeSize + combinedLayers(sources).length * RECIPE_LAYER;
  const targetSize = target.layers.reduce((sum, { size }) => sum + size, 0);
  return { compared: compareProfiles(target, sources), sizes: { recipeSize, targetSize } };
}

/** The layers of a source; of several images each layer once. */
function combinedLayers(sources: readonly Profile[]): readonly ProfileLayer[] {
  const layers = sources.flatMap((source) => source.layers);
  return sources.length === 1 ? layers : [...new Map(layers.map((layer) => [layer.diffID, layer])).values()];
}

/** Compares a target with one possible source, which may be several images. */
export function compareImages(
  target: Target,
  source: Profile | readonly Profile[],
  calibrations: Calibrations = {},
): Candidate {
  return compareWithCosts(target, [source].flat(), calibrations).candidate;
}

/** As `compareImages`, for signatures in memory. */
export function compareSignatures(
  target: Signature,
  source: Signature | readonly Signature[],
  calibrations: Calibrations = {},
): Candidate {
  return compareImages(asTarget(profileOf(target)), [source].flat().map(profileOf), calibrations);
}

/** Compares a target with one or several images, and tells the costs of its contents in the default format. */
export function compareWithCosts(
  target: Target,
  sources: readonly Profile[],
  calibrations: Calibrations,
): { readonly candidate: Candidate; readonly costs: ContentCosts } {
  const { compared, sizes } = evidenceOf(target, sources);
  const costsOf = createContentCosts(target, compared);
  const predictions = Object.fromEntries(
    patchFormats().map(({ name, costs }) => [
      name,
      predict(target, compared, sizes, costs, calibrations[name], costsOf(costs)),
    ]),
  );
  const { identicalBytes, changedBytes, newBytes, sharedLayerBytes } = compared;
  const [{ tlsh }, ...others] = sources as readonly [Profile, ...Profile[]];
  const { costs, name } = DEFAULT_FORMAT;
  const manifests = sources.map(({ manifest }) => manifest);
  const candidate = {
    source: combineDigests(manifests),
    ...(others.length > 0 && { images: manifests }),
    tlshDistance: others.length === 0 && target.tlsh && tlsh ? tlshDistance(target.tlsh, tlsh) : null,
    identicalBytes,
    changedBytes,
    newBytes,
    sharedLayerBytes,
    predictedPatchSize: predictionOf(predictions, name).size,
    predictions,
    pullSize: pullSize(target, { layers: combinedLayers(sources) }),
    ...newerBy(target, sources),
  };
  return { candidate, costs: calibratedCosts(target, compared, costsOf(costs), calibrations[name]) };
}

/** Makes the function that computes costs of contents once for formats that differ in the time of encoding only. */
function createContentCosts(target: Target, compared: Comparison): (costs: Costs) => Float64Array {
  const made = new Map<string, Float64Array>();
  return (costs) => {
    const key = JSON.stringify({ ...costs, secondsPerMiB: undefined });
    const each = made.get(key) ?? contentCosts(target, compared, costs);
    made.set(key, each);
    return each;
  };
}

function newerBy(target: Profile, sources: readonly Profile[]): Pick<Candidate, 'newerBy'> {
  const [created, ...others] = [target, ...sources].map((image) => image.created);
  if (created === undefined || others.includes(undefined)) return {};
  return { newerBy: Math.max(...(others as number[])) - created };
}

/** Whether a patch from this source in one of the formats is predicted to be clearly smaller than a pull. */
export function isWorthIt(
  { predictions, pullSize, images }: Candidate,
  formats: readonly FormatName[] = formatNames(),
): boolean {
  const possible = formats.filter((format) => !images || formatNamed(format).traits.combinesSources);
  return possible.some((format) => predictionOf(predictions, format).size < pullSize * WORTH);
}

/** Smallest predicted patch first; ties by TLSH distance, then by digest, so that every run agrees. */
export function rankCandidates(
  target: Digest,
  candidates: readonly Candidate[],
  calibrations: Calibrations = {},
): Ranking {
  const far = Number.MAX_SAFE_INTEGER;
  return {
    target,
    calibrations,
    candidates: candidates
      .filter((candidate) => candidate.source !== target)
      .toSorted(
        (a, b) =>
          a.predictedPatchSize - b.predictedPatchSize ||
          (a.tlshDistance ?? far) - (b.tlshDistance ?? far) ||
          (a.source < b.source ? -1 : 1),
      ),
  };
}

/**
 * Names a set of allowed sources; each set has its own ranking of a target.
 *
 * @param together whether several of them may be one source
 */
export function scopeOf(sources: readonly Digest[], together = false): string {
  const text = [...sources.toSorted(), ...(together ? ['together'] : [])].join('\n');
  return digestOf(text).slice('sha256:'.length, 'sha256:'.length + 16);
}

export function serializeRanking(ranking: Ranking): Buffer {
  return sealDocument({ version: RANKING_VERSION, ...ranking }, 2);
}

/** @throws PanamaxError `bad-input` for a damaged document or one of another version */
export function parseRanking(bytes: Uint8Array, where: string): Ranking {
  checkSeal(bytes, where);
  const record = parseVersioned(bytes, RANKING_VERSION, 'unknown ranking version', where);
  return {
    target: parseDigest(record['target'], `${where} target`),
    calibrations: parseFactors(record['calibrations'], `${where} calibrations`),
    candidates: asArray(record['candidates'], `${where} candidates`).map((value, i) => {
      const at = `${where} candidates[${i}]`;
      const candidate = asRecord(value, at);
      const size = (key: string) => asSize(candidate[key], `${at} ${key}`);
      return {
        source: parseDigest(candidate['source'], at),
        ...(candidate['images'] !== undefined && {
          images: asArray(candidate['images'], at).map((image) => parseDigest(image, at)),
        }),
        tlshDistance: candidate['tlshDistance'] === null ? null : size('tlshDistance'),
        identicalBytes: size('identicalBytes'),
        changedBytes: size('changedBytes'),
        newBytes: size('newBytes'),
        sharedLayerBytes: size('sharedLayerBytes'),
        predictedPatchSize: size('predictedPatchSize'),
        predictions: parsePredictions(candidate['predictions'], `${at} predictions`),
        pullSize: size('pullSize'),
        ...(candidate['newerBy'] !== undefined && {
          newerBy: asInteger(candidate['newerBy'], `${at} newerBy`),
        }),
      };
    }),
  };
}

function parsePredictions(value: unknown, where: string): Candidate['predictions'] {
  const record = asRecord(value, where);
  const parse = (format: FormatName): Prediction => {
    const at = `${where} ${format}`;
    const prediction = asRecord(record[format], at);
    const reasons = asRecord(prediction['reasons'], `${at} reasons`);
    const { seconds } = prediction;
    if (typeof seconds !== 'number' || !(seconds >= 0)) {
      throw new PanamaxError('bad-input', 'not a duration', { found: JSON.stringify(seconds), where: at });
    }
    return {
      size: asSize(prediction['size'], `${at} size`),
      reasons: {
        fixed: asSize(reasons['fixed'], `${at} fixed`),
        changed: asSize(reasons['changed'], `${at} changed`),
        new: asSize(reasons['new'], `${at} new`),
      },
      seconds,
    };
  };
  return Object.fromEntries(formatNames().map((format) => [format, parse(format)]));
}
