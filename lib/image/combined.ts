import { digestOf, type Digest } from '../digest.ts';
import type { ImageRecord, LayerRecord } from './record.ts';

/**
 * Combines images to one source: the layers of all images in the order given, without repeated ones. A single image is
 * returned as it is.
 */
export function combineRecords(images: readonly ImageRecord[]): ImageRecord {
  const [first] = images;
  if (images.length === 1) return first!;
  const layers = new Map<Digest, LayerRecord>();
  for (const layer of images.flatMap((image) => image.layers)) {
    if (!layers.has(layer.diffID)) layers.set(layer.diffID, layer);
  }
  return {
    manifest: combineDigests(images.map(({ manifest }) => manifest)),
    manifestDocument: '',
    config: combineDigests(images.map(({ config }) => config)),
    configDocument: '',
    platform: first!.platform,
    layers: [...layers.values()],
  };
}

/** The digest that names a combination of images (docs/formats.md). */
export function combineDigests(digests: readonly Digest[]): Digest {
  return digests.length === 1 ? digests[0]! : digestOf(digests.join('\n'));
}
