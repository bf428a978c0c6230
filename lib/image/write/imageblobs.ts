import { provenBlob, recompressed } from '../../compression/recompress.ts';
import { digestOf, type Digest } from '../../digest.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import { type Descriptor } from '../oci/descriptor.ts';
import { MEDIA_TYPES, parseManifest } from '../oci/manifest.ts';
import type { Image } from '../open.ts';
import type { ImageRecord, LayerRecord } from '../record.ts';
import { splitLayers, type RebuiltLayer } from './rebuilt.ts';

/** The blobs of an image, written in order: the documents are known beforehand, the layers come one by one. */
export interface ImageBlobs {
  readonly manifest: DocumentBlob;
  readonly config: DocumentBlob;
  /** Uncompressed digests of all layers, bottom first. */
  readonly diffIDs: readonly Digest[];
  /** Bottom first. A layer that is not read to its end is skipped when the next one is requested. */
  readonly layers: AsyncIterable<LayerBlob>;
  /** Layers that `layers` leaves out because their compressed bytes cannot be made. */
  readonly omitted: readonly Descriptor[];
}

export interface DocumentBlob {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export interface LayerBlob {
  /** `size` is that of the blob, in bytes. */
  readonly descriptor: Descriptor;
  readonly diffID: Digest;
  /**
   * The blob, piece by piece while it is made. Fails with `bad-patch` before its last piece if the bytes do not match
   * `descriptor.digest` or the tar does not match `diffID`. A piece is valid until the next one is requested.
   */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Whether the compressed bytes of a layer, as its manifest names them, can be made from its tar. */
export function isReproducible({ compression }: Pick<LayerRecord, 'compression'>): boolean {
  return compression !== undefined;
}

/** Whether all layers are reproducible, so that the image can keep its manifest. */
export function canBeExact({
  layers,
}: {
  readonly layers: readonly Pick<LayerRecord, 'compression'>[];
}): boolean {
  return layers.every(isReproducible);
}

/** The image's own manifest and its layers compressed as the manifest names them. Others are omitted. */
export function exactBlobs(image: ImageRecord, stream: AsyncIterable<Uint8Array>): ImageBlobs {
  const bytes = Buffer.from(image.manifestDocument);
  const { mediaType, config, layers } = parseManifest(bytes, DEFAULT_LIMITS, image.manifest);
  return {
    manifest: { descriptor: { mediaType, digest: image.manifest, size: bytes.length }, bytes },
    config: { descriptor: config, bytes: Buffer.from(image.configDocument) },
    diffIDs: image.layers.map(({ diffID }) => diffID),
    layers: rebuiltBlobs(image, stream, layers, compressedBlob),
    omitted: layers.filter((_, i) => !isReproducible(image.layers[i]!)),
  };
}

function compressedBlob({ tar, compression }: RebuiltLayer, descriptor: Descriptor) {
  return compression && provenBlob(recompressed(tar, compression), descriptor);
}

/** A new OCI manifest and uncompressed layers. */
export function plainBlobs(image: ImageRecord, stream: AsyncIterable<Uint8Array>): ImageBlobs {
  const configBytes = Buffer.from(image.configDocument);
  const config = { mediaType: MEDIA_TYPES.ociConfig, digest: image.config, size: configBytes.length };
  const layers = image.layers.map(({ diffID, size }) => ({
    mediaType: MEDIA_TYPES.ociLayer,
    digest: diffID,
    size,
  }));
  const mediaType = MEDIA_TYPES.ociManifest;
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  return {
    manifest: { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes },
    config: { descriptor: config, bytes: configBytes },
    diffIDs: image.layers.map(({ diffID }) => diffID),
    layers: rebuiltBlobs(image, stream, layers, ({ tar }) => tar),
    omitted: [],
  };
}

/** @param blobOf undefined for a layer to omit: its tar is verified, nothing is yielded */
async function* rebuiltBlobs(
  image: ImageRecord,
  stream: AsyncIterable<Uint8Array>,
  descriptors: readonly Descriptor[],
  blobOf: (layer: RebuiltLayer, descriptor: Descriptor) => AsyncIterable<Uint8Array> | undefined,
): AsyncGenerator<LayerBlob, void, void> {
  let at = 0;
  for await (const layer of splitLayers(image, stream)) {
    const descriptor = descriptors[at++]!;
    const bytes = blobOf(layer, descriptor);
    if (bytes) yield { descriptor, diffID: layer.diffID, bytes };
  }
}

/** The blobs of an image as they are stored. A layer that is not read is not fetched. */
export function storedBlobs(image: Image): ImageBlobs {
  const { manifest, manifestBytes, manifestDigest, configBytes, layers } = image;
  const { mediaType, config } = manifest;
  async function* stored(): AsyncGenerator<LayerBlob, void, void> {
    for (const layer of layers) {
      const { descriptor, diffID } = layer;
      yield { descriptor, diffID, bytes: layer.blob() };
    }
  }
  return {
    manifest: {
      descriptor: { mediaType, digest: manifestDigest, size: manifestBytes.length },
      bytes: manifestBytes,
    },
    config: { descriptor: config, bytes: configBytes },
    diffIDs: layers.map(({ diffID }) => diffID),
    layers: stored(),
    omitted: [],
  };
}
