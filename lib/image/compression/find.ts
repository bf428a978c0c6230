import { correctionSize, MOST_CORRECTED } from '../../compression/corrected/corrected.ts';
import type { Compression } from '../../compression/recipe.ts';
import type { Digest } from '../../digest.ts';
import type { FilePart } from '../../runtime/space.ts';
import { runThreadOnce, threadEntry } from '../../runtime/thread.ts';
import { readPart, type LayerStream } from '../layerstream.ts';
import type { StoredLayer } from '../stored.ts';
import {
  findCorrection,
  isCorrectable,
  likelyEncoder,
  readHead,
  type CompressedLayer,
  type SearchOptions,
} from './detect.ts';
import type { KnownCompressions } from './known.ts';
import { searchLayer } from './searchlayer.ts';

const layerThread = threadEntry<typeof import('./layerthread.ts')>(
  new URL('./layerthread.ts', import.meta.url),
);

/** Layers whose recipe is searched at the same time, the largest first. */
const CONCURRENCY = 2;
/** Neither samples nor smaller blobs are worth a thread, in bytes. */
const MIN_SHARED = 1024 ** 2;

export interface FindOptions {
  /** Results of earlier searches. */
  readonly known?: KnownCompressions;
  /** Digests of layers of which a sample is compressed instead of all. */
  readonly sampled?: ReadonlySet<Digest>;
}

/** A layer to examine, and its tar. */
interface Search {
  readonly layer: StoredLayer;
  readonly tar: FilePart;
}

/**
 * Finds the recipe that compressed each layer of an image; undefined for layers that cannot be made again. Takes
 * longer than reading the image, so it runs in threads. The result does not depend on their number.
 */
export async function findCompressions(
  layers: readonly StoredLayer[],
  { parts }: LayerStream,
  { known = new Map(), sampled = new Set() }: FindOptions = {},
): Promise<(Compression | undefined)[]> {
  const found = new Map<Digest, Compression | null>(known);
  const searches = new Map<Digest, Search>();
  for (const [i, layer] of layers.entries()) {
    const { digest } = layer.descriptor;
    if (!found.has(digest)) searches.set(digest, { layer, tar: parts[i]! });
  }
  const sorted = [...searches].toSorted(([, one], [, other]) => other.tar.size - one.tar.size);
  const likely = sorted[0] && (await likelyOf(sorted[0][1]));
  const queue = sorted.values();
  const work = async () => {
    for (const [digest, search] of queue) {
      const options = { ...(likely && { likely }), isSampled: sampled.has(digest) };
      found.set(digest, (await findOne(search, options)) ?? null);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return limitCorrections(layers.map(({ descriptor }) => found.get(descriptor.digest) ?? undefined));
}

async function likelyOf({ layer, tar }: Search): Promise<SearchOptions['likely']> {
  return likelyEncoder(await compressed(layer), () => readPart(tar));
}

async function findOne({ layer, tar }: Search, options: SearchOptions): Promise<Compression | undefined> {
  const task = { layer: await compressed(layer), tar, options };
  const isShort = options.isSampled || layer.descriptor.size < MIN_SHARED;
  const found = isShort ? await searchLayer(task) : await runThreadOnce(layerThread, task);
  if (found || !isCorrectable(task.layer)) return found;
  return findCorrection(
    task.layer,
    () => layer.blob(),
    () => readPart(tar),
  );
}

async function compressed({ blob, descriptor, diffID }: StoredLayer): Promise<CompressedLayer> {
  return { descriptor, diffID, head: descriptor.digest === diffID ? Buffer.of() : await readHead({ blob }) };
}

/** Drops all corrections of an image if they are too large together. */
function limitCorrections(compressions: (Compression | undefined)[]): (Compression | undefined)[] {
  const sizes = compressions.map((found) => (found?.encoder === 'corrected' ? correctionSize(found) : 0));
  const isSmall = sizes.reduce((sum, size) => sum + size, 0) <= MOST_CORRECTED;
  return compressions.map((found, i) => (isSmall || sizes[i] === 0 ? found : undefined));
}
