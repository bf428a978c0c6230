import type { UnpackedImage } from './format.ts';
import type { DeltaSide } from './task.ts';
import type { Limits } from '../limits.ts';
import { openImage, type Image } from '../image/open.ts';
import { unpackImage, type LayerStream } from '../image/layerstream.ts';
import type { RootfsFiles } from '../image/rootfsfiles.ts';
import { rootfsThread } from '../image/threads.ts';
import { runThread } from '../runtime/thread.ts';
import { measurePullSizes } from '../image/pullsize.ts';
import { imageRecord, withCompressions } from '../image/record.ts';
import { parseReference } from '../image/oci/reference.ts';
import { findCompressions } from '../image/compression/find.ts';

/** Reads and unpacks images for a patch. Not loaded by a thread that gets unpacked images. */

/** @param scratch directory for blobs from registries, unless the side names one */
export async function readImage(side: DeltaSide, limits: Limits, scratch: string): Promise<Image> {
  return openImage(await parseReference(side.reference), { ...side, limits, scratch });
}

/** @param path of the layer stream to write */
export async function unpackSource(image: Image, path: string, limits: Limits): Promise<UnpackedImage> {
  const stream = await unpackImage(image, path, limits);
  const record = imageRecord(image, stream.layerSizes, await measurePullSizes(image));
  return { stream, record, layers: image.layers };
}

/**
 * Flattens an unpacked image, as a signature does. The byte formats need no tar, and would take a layer that is damaged.
 *
 * @returns its files
 * @throws PanamaxError `bad-input`, `limit`
 */
export function checkRootfs(
  { reference }: Pick<Image, 'reference'>,
  stream: LayerStream,
  limits: Limits,
): Promise<RootfsFiles> {
  return runThread(rootfsThread, { stream, limits, name: reference });
}

/** Unpacks an image and finds how its layers were compressed. */
export async function unpackTarget(image: Image, path: string, limits: Limits): Promise<UnpackedImage> {
  const unpacked = await unpackSource(image, path, limits);
  const [compressions] = await Promise.all([
    findCompressions(image.layers, unpacked.stream),
    checkRootfs(image, unpacked.stream, limits),
  ]);
  return { ...unpacked, record: withCompressions(unpacked.record, compressions) };
}
