import { correctionSize, MOST_CORRECTED } from '../../compression/corrected/corrected.ts';
import type { Compression } from '../../compression/recipe.ts';
import type { Digest } from '../../digest.ts';
import type { FilePart } from '../../runtime/space.ts';
import { readPart, type LayerStream } from '../layerstream.ts';
import type { StoredLayer } from '../stored.ts';
import { findCompression, findCorrection, isCorrectable, readHead } from './detect.ts';
import type { KnownCompressions } from './known.ts';

/** Layers whose recipe is searched at the same time, the largest first; each is compressed in a thread. */
const CONCURRENCY = 2;

/**
 * Finds the recipe that compressed each layer of an image; undefined for layers that cannot be made again. Takes
 * several times as long as reading the image, so it runs in a thread.
 *
 * @param known results of earlier searches
 */
export async function findCompressions(
  layers: readonly StoredLayer[],
  { parts }: LayerStream,
  known: KnownCompressions = new Map(),
): Promise<(Compression | undefined)[]> {
  const found = new Map<Digest, Compression | null>(known);
  const searches = new Map<Digest, { readonly layer: StoredLayer; readonly part: FilePart }>();
  for (const [i, layer] of layers.entries()) {
    const { digest } = layer.descriptor;
    if (!found.has(digest)) searches.set(digest, { layer, part: parts[i]! });
  }
  const queue = [...searches].toSorted(([, one], [, other]) => other.part.size - one.part.size).values();
  const work = async () => {
    for (const [digest, { layer, part }] of queue) found.set(digest, (await findOne(layer, part)) ?? null);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return limitCorrections(layers.map(({ descriptor }) => found.get(descriptor.digest) ?? undefined));
}

async function findOne(
  { blob, descriptor, diffID }: StoredLayer,
  part: FilePart,
): Promise<Compression | undefined> {
  const tar = () => readPart(part);
  const isPlain = descriptor.digest === diffID;
  const head = isPlain ? Buffer.of() : await readHead({ blob });
  const layer = { descriptor, diffID, head };
  const found = await findCompression(layer, tar);
  return found || !isCorrectable(layer) ? found : findCorrection(layer, blob, tar);
}

/** Drops all corrections of an image if they are too large together. */
function limitCorrections(compressions: (Compression | undefined)[]): (Compression | undefined)[] {
  const sizes = compressions.map((found) => (found?.encoder === 'corrected' ? correctionSize(found) : 0));
  const isSmall = sizes.reduce((sum, size) => sum + size, 0) <= MOST_CORRECTED;
  return compressions.map((found, i) => (isSmall || sizes[i] === 0 ? found : undefined));
}
