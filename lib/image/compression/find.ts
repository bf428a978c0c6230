import { correctionSize, MOST_CORRECTED } from '../../compression/corrected/corrected.ts';
import type { Compression } from '../../compression/recipe.ts';
import type { Digest } from '../../digest.ts';
import type { FilePart } from '../../runtime/space.ts';
import { openThread, threadEntry, type Thread } from '../../runtime/thread.ts';
import { readPart } from '../layerstream.ts';
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
import { searchLayer, type LayerTask } from './searchlayer.ts';

const layerThread = threadEntry<typeof import('./layerthread.ts')>(
  new URL('./layerthread.ts', import.meta.url),
);

/** Layers whose recipe is searched at the same time, the largest first: one where at most one takes long. */
const CONCURRENCY = 2;
/** Smaller blobs are not worth a thread, in bytes. */
const MIN_SHARED = 1024 ** 2;

export interface FindOptions {
  /** Results of earlier searches. */
  readonly known?: KnownCompressions;
  /** Digests of layers of which a sample is compressed instead of all. */
  readonly sampled?: ReadonlySet<Digest>;
}

type Tar = FilePart | Promise<FilePart>;

function isShort({ descriptor }: StoredLayer): boolean {
  return descriptor.size < MIN_SHARED;
}

/** A layer to examine, and its tar. */
interface Search {
  readonly layer: StoredLayer;
  readonly tar: Tar;
}

/**
 * Finds the recipe that compressed each layer of an image; undefined for layers that cannot be made again. Takes
 * longer than reading the image, so it runs in threads. The result does not depend on their number.
 *
 * @param tars of the layers; some may be written yet
 */
export async function findCompressions(
  layers: readonly StoredLayer[],
  tars: readonly Tar[],
  { known = new Map(), sampled = new Set() }: FindOptions = {},
): Promise<(Compression | undefined)[]> {
  const found = new Map<Digest, Compression | null>(known);
  const searches = new Map<Digest, Search>();
  for (const [i, layer] of layers.entries()) {
    const { digest } = layer.descriptor;
    if (!found.has(digest)) searches.set(digest, { layer, tar: tars[i]! });
  }
  const sorted = [...searches].toSorted(
    ([, one], [, other]) => other.layer.descriptor.size - one.layer.descriptor.size,
  );
  const likely = sorted[0] && (await likelyOf(sorted[0][1]));
  const queue = sorted.values();
  const work = async () => {
    await using searcher = lazySearcher();
    for (const [digest, search] of queue) {
      const options = { ...(likely && { likely }), isSampled: sampled.has(digest) };
      found.set(digest, (await findOne(search, options, searcher)) ?? null);
    }
  };
  const long = sorted.filter(([digest, { layer }]) => !sampled.has(digest) && !isShort(layer));
  await Promise.all(Array.from({ length: long.length > 1 ? CONCURRENCY : 1 }, work));
  return limitCorrections(layers.map(({ descriptor }) => found.get(descriptor.digest) ?? undefined));
}

/** A thread that starts with its first layer. */
interface Searcher extends AsyncDisposable {
  search(task: LayerTask): Promise<Compression | undefined>;
}

function lazySearcher(): Searcher {
  let thread: Thread<LayerTask, Compression | undefined> | undefined;
  return {
    search: (task) => (thread ??= openThread(layerThread)).call(task),
    async [Symbol.asyncDispose]() {
      await thread?.[Symbol.asyncDispose]();
    },
  };
}

async function likelyOf({ layer, tar }: Search): Promise<SearchOptions['likely']> {
  const part = await tar;
  return likelyEncoder(await compressed(layer), () => readPart(part));
}

async function findOne(
  search: Search,
  options: SearchOptions,
  searcher: Searcher,
): Promise<Compression | undefined> {
  const { layer } = search;
  const tar = await search.tar;
  const task = { layer: await compressed(layer), tar, options };
  const found = isShort(layer) ? await searchLayer(task) : await searcher.search(task);
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
