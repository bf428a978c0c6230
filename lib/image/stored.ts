import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { parseManifest } from './oci/manifest.ts';
import type { Image, Layer } from './open.ts';
import type { ImageRecord } from './record.ts';

/** A layer, to be asked for its blob as often as need be. */
export type StoredLayer = Pick<Layer, 'blob' | 'descriptor' | 'diffID'>;

/** The layers of an image that is known by its record, bottom first: it is read when one is asked for its blob. */
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

/** Tags move. @throws PanamaxError `bad-input` where this is not the image that was looked at before */
export function checkManifest(image: Image, expected: Digest): Image {
  const { manifestDigest: found, reference: where } = image;
  if (found === expected) return image;
  throw new PanamaxError('bad-input', 'the image has changed since it was first read', {
    expected,
    found,
    where,
  });
}
