import { DEFAULT_FORMAT, formatNamed } from '../../lib/delta/formats.ts';
import type { Digest } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import type { Candidate } from '../../lib/pairing/ranking.ts';
import { predictionOf, type Calibrations } from '../../lib/pairing/prediction.ts';
import { MOST_ASKED, MOST_LINKS } from '../../lib/site/choice/chain.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { readIndex } from '../../lib/store/targetindex.ts';
import { createComparisons } from './comparisons.ts';

/** A way from a source to a target by several patches, of which at least the last exists. */
export interface Chain {
  /** Images that are rebuilt on the way, first to last; empty if the source's own patch exists. */
  readonly through: readonly Digest[];
  /** Size of all patches in bytes; predicted if the first one has to be made. */
  readonly size: number;
  /** Processor time of the patch that has to be made; 0 if all exist. */
  readonly seconds: number;
}

/** Size of a chain over that of a direct patch, at most, for a chain that saves processor time. */
const WORTH = 1.1;
/** Processor time of such a chain over that of a direct patch, at most. */
const SAVED = 0.5;

/**
 * Chains through existing patches that are cheaper than a direct patch: smaller, or much less processor time for hardly
 * more bytes. By the candidate's source.
 */
export async function cheaperChains(
  store: Store,
  target: Digest,
  candidates: readonly Candidate[],
  calibrations: Calibrations,
): Promise<ReadonlyMap<Digest, Chain>> {
  const ways = await waysTo(store, target);
  const chains = new Map<Digest, Chain>();
  for (const { source, images, predictions } of candidates) {
    if (images || ways.size === 0) continue;
    const own = ways.get(source);
    const direct = own?.through.length === 0 ? own : predictionOf(predictions, DEFAULT_FORMAT.name);
    const isCheaper = (chain: Chain) =>
      chain.size < direct.size ||
      (chain.seconds < direct.seconds * SAVED && chain.size <= direct.size * WORTH);
    const made = await madeThrough(store, source, ways, calibrations);
    const best = [own, made].find((chain) => chain && chain.through.length > 0 && isCheaper(chain));
    if (best) chains.set(source, best);
  }
  return chains;
}

/** The smallest chain of existing patches from each image to the target (Dijkstra's algorithm, from the target). */
async function waysTo(store: Store, target: Digest): Promise<ReadonlyMap<Digest, Chain>> {
  const ways = new Map<Digest, Chain>();
  const asked = new Set<Digest>();
  let next: readonly [Digest, Pick<Chain, 'through' | 'size'>] | undefined = [
    target,
    { through: [], size: 0 },
  ];
  for (; next && asked.size < MOST_ASKED; next = nearest(ways, asked)) {
    const [image, way] = next;
    asked.add(image);
    const through = image === target ? [] : [image, ...way.through];
    for (const { format, source, size } of (await readIndex(store, image))?.patches ?? []) {
      // a patch builds a layer stream
      if (!formatNamed(format).traits.appliesToStream || source.images || source.manifest === target)
        continue;
      const found = { through, size: size + way.size, seconds: 0 };
      if (found.size < (ways.get(source.manifest)?.size ?? Infinity)) ways.set(source.manifest, found);
    }
  }
  return ways;
}

/** The image with the smallest chain among those that are not passed and may have one link more. */
function nearest(ways: ReadonlyMap<Digest, Chain>, passed: ReadonlySet<Digest>) {
  return [...ways]
    .filter(([image, { through }]) => !passed.has(image) && through.length + 1 < MOST_LINKS)
    .toSorted(([, a], [, b]) => a.size - b.size)[0];
}

/** The chain that starts with a new patch from the source to the nearest image. */
async function madeThrough(
  store: Store,
  source: Digest,
  ways: ReadonlyMap<Digest, Chain>,
  calibrations: Calibrations,
): Promise<Chain | undefined> {
  const next = nearest(ways, new Set([source]));
  if (!next) return undefined;
  const [image, { through, size }] = next;
  try {
    const { candidate } = await createComparisons(store, image, calibrations).compare([source]);
    const made = predictionOf(candidate.predictions, DEFAULT_FORMAT.name);
    return { through: [image, ...through], size: size + made.size, seconds: made.seconds };
  } catch (error) {
    // the signature has been removed meanwhile, or is damaged
    if (error instanceof PanamaxError && (error.kind === 'not-found' || error.kind === 'bad-input'))
      return undefined;
    throw error;
  }
}
