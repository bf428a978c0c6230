import type { Digest } from '../../lib/digest.ts';
import { pullSize } from '../../lib/image/record.ts';
import { predictionOf } from '../../lib/pairing/prediction.ts';
import { isWorthIt, type Candidate } from '../../lib/pairing/ranking.ts';
import type { ExistingPatch, PossiblePatch } from '../../lib/pairing/workplan.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { readIndex } from '../../lib/store/targetindex.ts';
import type { StageContext } from '../context.ts';
import { loadImage } from '../signature/load.ts';
import { loadCalibrations } from './calibration.ts';
import { createComparisons } from './comparisons.ts';
import { pairingStage } from './stage.ts';

/** Number of sets, largest first, whose images are also tried as one combined source. */
const MAX_COMBINED_SETS = 50;

/** A set of sites that hold the same images, by manifest. */
export interface ManifestSet {
  readonly images: readonly Digest[];
  /** Number of sites. */
  readonly sites: number;
}

/** The input of a work plan. */
export interface PossiblePatches {
  readonly possible: readonly PossiblePatch[];
  /** Bytes of a pull to a site without any image, by target. */
  readonly pullSizes: ReadonlyMap<Digest, number>;
}

/**
 * Predicts the patches from the images of all sets to each target. All images must have signatures.
 *
 * @param format the name of the format
 */
export async function findPossiblePatches(
  targets: ReadonlySet<Digest>,
  sets: readonly ManifestSet[],
  format: string,
  context: StageContext,
): Promise<PossiblePatches> {
  const { store } = context;
  const sources = [...new Set(sets.flatMap(({ images }) => images))];
  const toCombine = sets
    .filter(({ images }) => images.length > 1)
    .toSorted((a, b) => b.sites - a.sites)
    .slice(0, MAX_COMBINED_SETS);
  const calibrations = await loadCalibrations(store);
  const pullSizes = new Map<Digest, number>();
  const possible = new Map<string, PossiblePatch>();
  for (const target of targets) {
    pullSizes.set(target, pullSize(await loadImage(store, target)));
    // shared by the rankings below, since most sources are in several of the sets
    const comparisons = createComparisons(store, target, calibrations, context.memory.size);
    const { candidates } = await pairingStage({ target, sources }, context, comparisons);
    const combined: Candidate[] = [];
    for (const { images } of toCombine) {
      if (images.includes(target)) continue;
      const ranking = await pairingStage(
        { target, sources: images, combineSources: true },
        context,
        comparisons,
      );
      combined.push(...ranking.candidates.filter((candidate) => candidate.images));
    }
    for (const candidate of [...candidates, ...combined]) {
      possible.set(`${target} ${candidate.source}`, patchFrom(candidate, target, format));
    }
  }
  return { possible: [...possible.values()], pullSizes };
}

function patchFrom(candidate: Candidate, target: Digest, format: string): PossiblePatch {
  const { source, images, pullSize: pull, predictions } = candidate;
  const { size, seconds } = predictionOf(predictions, format);
  return {
    source,
    ...(images && { images }),
    target,
    // a source that is not worth a patch is listed as well, since it makes pulls smaller by shared layers
    size: isWorthIt(candidate, [format]) ? size : Infinity,
    seconds,
    pull,
  };
}

/** The patches of one format that the indexes of these images offer. */
export async function findExistingPatches(
  targets: ReadonlySet<Digest>,
  format: string,
  store: Store,
): Promise<ExistingPatch[]> {
  const existing: ExistingPatch[] = [];
  for (const target of targets) {
    for (const { source, size, format: found } of (await readIndex(store, target))?.patches ?? []) {
      const images = source.images && { images: source.images };
      if (found === format) existing.push({ source: source.manifest, ...images, target, size });
    }
  }
  return existing;
}
