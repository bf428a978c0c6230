import { layerRanges, type LayerStream } from '../../../image/layerstream.ts';
import type { Digest } from '../../../digest.ts';
import type { Limits } from '../../../limits.ts';
import { MEDIA_TYPES, parseManifest } from '../../../image/oci/manifest.ts';
import type { ImageRecord } from '../../../image/record.ts';

/** A layer of the target that the source lacks, as a part of the target's layer stream. */
export interface NewLayer {
  readonly index: number;
  readonly diffID: Digest;
  /** As the target's manifest names it. */
  readonly digest: Digest;
  readonly start: number;
  readonly end: number;
  /** Bytes and media type of its blob, where it may be carried as it is. */
  readonly whole: { readonly size: number; readonly mediaType: string } | undefined;
}

/** The layers of the target that a delta has to build, bottom first. */
export function newLayers(
  source: Pick<ImageRecord, 'layers'>,
  target: { readonly record: ImageRecord; readonly stream: LayerStream },
  limits: Limits,
): NewLayer[] {
  const held = new Set<Digest>(source.layers.map(({ diffID }) => diffID));
  /** Digests of compressed layers: an image may have one layer in two compressions. */
  const written = new Set<Digest>();
  const { manifest, manifestDocument, layers } = target.record;
  const descriptors = parseManifest(Buffer.from(manifestDocument), limits, manifest).layers;
  const found: NewLayer[] = [];
  for (const [index, { start, end, shift }] of layerRanges(target.stream).entries()) {
    const { diffID, digest, mediaType } = layers[index]!;
    if (held.has(diffID) || written.has(digest)) continue;
    written.add(digest);
    // `oci-delta import` takes no other compression for a layer that is carried as it is
    const isGzip = digest !== diffID && mediaType.endsWith('gzip');
    const whole = isGzip
      ? { size: descriptors[index]!.size, mediaType: `${MEDIA_TYPES.ociLayer}+gzip` }
      : undefined;
    found.push({ index, diffID, digest, start: start + shift, end: end + shift, whole });
  }
  return found;
}
