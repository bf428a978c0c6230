import type { UnpackedImage } from './format.ts';
import type { DeltaSide } from './task.ts';
import type { Limits } from '../limits.ts';
import { openImage, type Image } from '../image/open.ts';
import { layerSizes, unpackImages, type LayerStream } from '../image/layerstream.ts';
import { measurePullSizes } from '../image/pullsize.ts';
import { imageRecord, withCompressions, type ImageRecord } from '../image/record.ts';
import { parseReference } from '../image/oci/reference.ts';
import { findCompressions } from '../image/compression/find.ts';

/** Reads and unpacks images for a patch. Not loaded by a thread that gets unpacked images. */

/** @param scratch directory for blobs from registries, unless the side names one */
export async function readImage(side: DeltaSide, limits: Limits, scratch: string): Promise<Image> {
  return openImage(await parseReference(side.reference), { ...side, limits, scratch });
}

export interface UnpackingPair {
  /** The source and the target. */
  readonly images: Promise<[UnpackedImage, UnpackedImage]>;
  /** The target's, with the compressions of its layers. */
  readonly record: Promise<ImageRecord>;
}

/**
 * Unpacks both images of a pair at once, and finds how the layers of the target were compressed: those of the source by
 * their beginning.
 *
 * @param directory for the layers
 */
export function unpackPair(source: Image, target: Image, directory: string, limits: Limits): UnpackingPair {
  const { tars, streams } = unpackImages([source, target], directory, limits);
  const sampled = new Set(source.layers.map(({ descriptor }) => descriptor.digest));
  const compressions = findCompressions(target.layers, tars[1]!, { sampled });
  const images = streams.then(async ([from, to]): Promise<[UnpackedImage, UnpackedImage]> => [
    await unpacked(source, from!),
    await unpacked(target, to!),
  ]);
  const record = Promise.all([images, compressions]).then(([[, to], found]) =>
    withCompressions(to.record, found),
  );
  // awaited while patches are made
  record.catch(() => undefined);
  return { images, record };
}

async function unpacked(image: Image, stream: LayerStream): Promise<UnpackedImage> {
  const record = imageRecord(image, layerSizes(stream), await measurePullSizes(image));
  return { stream, record, layers: image.layers };
}
