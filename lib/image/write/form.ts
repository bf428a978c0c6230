import { digestOf, type Digest } from '../../digest.ts';
import { provenBlob, recompressed } from '../../compression/recompress.ts';
import { type Descriptor } from '../oci/descriptor.ts';
import { MEDIA_TYPES, parseManifest } from '../oci/manifest.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import type { ImageRecord, LayerRecord } from '../record.ts';
import type { RebuiltLayer } from './rebuilt.ts';

/** How a rebuilt image stands in an OCI layout. */
export interface LayoutForm {
  readonly manifest: Buffer;
  readonly descriptor: Descriptor;
  blob(layer: RebuiltLayer): RebuiltBlob;
}

export interface RebuiltBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Fails before its end where it is not what `digest` says. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Are the manifest and the compressed layers the image's own, to the last bit? */
export function canBeExact({
  layers,
}: {
  readonly layers: readonly Pick<LayerRecord, 'compression'>[];
}): boolean {
  return layers.every((layer) => layer.compression !== undefined);
}

/** The image's own manifest, and its layers compressed as they were; for an image that `canBeExact`. */
export function exactForm(image: ImageRecord): LayoutForm {
  const manifest = Buffer.from(image.manifestDocument);
  const { mediaType, layers } = parseManifest(manifest, DEFAULT_LIMITS, image.manifest);
  const sizes = new Map(layers.map(({ digest, size }) => [digest, size]));
  return {
    manifest,
    descriptor: { mediaType, digest: image.manifest, size: manifest.length },
    blob({ digest, compression, tar }) {
      const size = sizes.get(digest)!;
      return { digest, size, bytes: provenBlob(recompressed(tar, compression!), { digest, size }) };
    },
  };
}

/** A manifest of its own, and layers uncompressed. */
export function plainForm(image: ImageRecord): LayoutForm {
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: {
      mediaType: MEDIA_TYPES.ociConfig,
      digest: image.config,
      size: Buffer.byteLength(image.configDocument),
    },
    layers: image.layers.map(({ diffID, size }) => ({
      mediaType: MEDIA_TYPES.ociLayer,
      digest: diffID,
      size,
    })),
  };
  const manifest = Buffer.from(JSON.stringify(document));
  return {
    manifest,
    descriptor: { mediaType: MEDIA_TYPES.ociManifest, digest: digestOf(manifest), size: manifest.length },
    blob: ({ diffID, size, tar }) => ({ digest: diffID, size, bytes: tar }),
  };
}
