import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { parseManifest } from './oci/manifest.ts';
import type { Image, Layer } from './open.ts';
import type { ImageRecord } from './record.ts';

/** A layer whose blob can be read any number of times. */
export type StoredLayer = Pick<Layer, 'blob' | 'descriptor' | 'diffID'>;

/** The layers of a recorded image, bottom first. The image is opened when a blob is read first. */
export function storedLayers(record: ImageRecord, read: () => Promise<Image>): StoredLayer[] {
  const { manifest, manifestDocument } = record;
  const { layers } = parseManifest(Buffer.from(manifestDocument), DEFAULT_LIMITS, manifest);
  let image: Promise<Image> | undefined;
  return layers.map((descriptor, i) => ({
    descriptor,
    diffID: record.layers[i]!.diffID,
    async *blob() {
      image ??= read().then((found) => checkManifest(found, manifest));
      yield* (await image).layers[i]!.blob();
    },
  }));
}

/** Checks that a tag has not moved since the image was first read. @throws PanamaxError `bad-input` */
export function checkManifest(image: Image, expected: Digest): Image {
  const { manifestDigest: found, reference: where } = image;
  if (found === expected) return image;
  throw new PanamaxError('bad-input', 'the image has changed since it was first read', {
    expected,
    found,
    where,
  });
}
