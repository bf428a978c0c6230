import { checkSeal, sealDocument } from '../sealed.ts';
import type { FormatName } from '../delta/format.ts';
import { DEFAULT_FORMAT, formatNamed, formatNames, patchFormats } from '../delta/formats.ts';
import { digestOf, parseDigest, type Digest } from '../digest.ts';
import { asArray, asInteger, asRecord, asSize, parseVersioned } from '../json.ts';
import { PanamaxError } from '../errors.ts';
import { combineRecords } from '../image/combined.ts';
import { createdOf, pullSize, streamSize, withCompressions } from '../image/record.ts';
import type { Compression } from '../compression/recipe.ts';
import { serializeRecipe, sourceRecord } from '../delta/recipe.ts';
import { parseFactors } from './calibration.ts';
import { compareLayers, indexSource, layersOf, layersOfAll, type Comparison } from './compare.ts';
import {
  predict,
  predictionOf,
  type Calibrations,
  type PatchSizes,
  type Prediction,
  type Predictions,
} from './prediction.ts';
import type { Signature } from './signature/signature.ts';
import { tlshDistance } from './signature/tlsh.ts';

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
export const RANKING_VERSION = 8;

/** A patch is worth making up to this share of a pull. */
const WORTH = 0.95;

/** Bytes of a source layer in a recipe. */
const RECIPE_LAYER = 61;
/** The most common compression, assumed for the recipe's size because a signature does not contain it. */
const COMPRESSION: Compression = { encoder: 'go', level: 6, header: 'H4sIAAAAAAAA/w==' };

/** Input of the predictions for a target and its source. */
export interface Evidence {
  readonly compared: Comparison;
  readonly sizes: PatchSizes;
}

export function evidenceOf(target: Signature, sources: readonly Signature[]): Evidence {
  const compared = compareLayers(layersOf(target), indexSource(layersOfAll(sources)));
  // without the source's digests, whose compressed sizes would be noise between equally good sources
  const image = withCompressions(
    target.image,
    target.image.layers.map(() => COMPRESSION),
  );
  const recipe = { source: { ...sourceRecord(image), layers: [] }, target: image };
  const sourceLayers = combineRecords(sources.map((one) => one.image)).layers.length;
  const recipeSize = serializeRecipe(recipe).length + sourceLayers * RECIPE_LAYER;
  return { compared, sizes: { recipeSize, targetSize: streamSize(target.image) } };
}

/** Compares a target with one possible source, which may be several images, by their signatures. */
export function compareImages(
  target: Signature,
  source: Signature | readonly Signature[],
  calibrations: Calibrations = {},
): Candidate {
  const sources = [source].flat();
  return candidateOf(target, sources, evidenceOf(target, sources), calibrations);
}

export function candidateOf(
  target: Signature,
  sources: readonly Signature[],
  { compared, sizes }: Evidence,
  calibrations: Calibrations,
): Candidate {
  const image = combineRecords(sources.map((one) => one.image));
  const predictions = Object.fromEntries(
    patchFormats().map(({ name, costs }) => [name, predict(compared, sizes, costs, calibrations[name])]),
  );
  const { identicalBytes, changedBytes, newBytes, sharedLayerBytes } = compared;
  const [{ tlsh }, ...others] = sources as readonly [Signature, ...Signature[]];
  return {
    source: image.manifest,
    ...(others.length > 0 && { images: sources.map((one) => one.image.manifest) }),
    tlshDistance: others.length === 0 && target.tlsh && tlsh ? tlshDistance(target.tlsh, tlsh) : null,
    identicalBytes,
    changedBytes,
    newBytes,
    sharedLayerBytes,
    predictedPatchSize: predictionOf(predictions, DEFAULT_FORMAT.name).size,
    predictions,
    pullSize: pullSize(target.image, image),
    ...newerBy(target, sources),
  };
}

function newerBy(target: Signature, sources: readonly Signature[]): Pick<Candidate, 'newerBy'> {
  const [created, ...others] = [target, ...sources].map(({ image }) => createdOf(image));
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
