import { digestOf, type Digest } from '../digest.ts';
import type { ImageRecord, LayerRecord } from './record.ts';

/**
 * Several images as one source: their layers, one image behind the other in the order given, each layer only once. One
 * image is what it is.
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

/** Names several images as one (docs/formats.md). */
export function combineDigests(digests: readonly Digest[]): Digest {
  return digests.length === 1 ? digests[0]! : digestOf(digests.join('\n'));
}
