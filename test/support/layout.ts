/** Wraps layer tars as an OCI image layout directory (image-spec, image-layout.md) with one image in it. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';

export type LayerCompression = 'none' | 'gzip' | 'zstd';

export interface LayoutOptions {
  /** Default 'latest'. */
  readonly tag?: string;
  /** For all layers, or one by one. Default gzip. */
  readonly compression?: LayerCompression | readonly LayerCompression[];
  readonly architecture?: string;
  /** Merged into the image's config document. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface Layout {
  readonly manifestDigest: string;
  /** The image ID. */
  readonly configDigest: string;
  /** Of the layers' uncompressed tars, bottom first. */
  readonly diffIDs: readonly string[];
  /** Of the layers' blobs, bottom first. */
  readonly layerDigests: readonly string[];
}

const MEDIA_TYPE = 'application/vnd.oci.image';

/** Makes `directory` an OCI layout that holds one image with these layers, bottom first. */
export async function writeLayout(
  directory: string,
  layers: readonly Uint8Array[],
  options: LayoutOptions = {},
): Promise<Layout> {
  const { tag = 'latest', compression = 'gzip', architecture = 'amd64' } = options;
  const blobs = join(directory, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });

  const writeBlob = async (bytes: Uint8Array) => {
    const digest = digestOf(bytes);
    await writeFile(join(blobs, digest.slice('sha256:'.length)), bytes);
    return { digest, size: bytes.length };
  };
  const writeDocument = (document: unknown) => writeBlob(Buffer.from(JSON.stringify(document)));

  const diffIDs = layers.map(digestOf);
  const layerDescriptors = [];
  for (const [i, layer] of layers.entries()) {
    const method = typeof compression === 'string' ? compression : (compression[i] ?? 'gzip');
    layerDescriptors.push({
      mediaType: `${MEDIA_TYPE}.layer.v1.tar${method === 'none' ? '' : `+${method}`}`,
      ...(await writeBlob(compress(layer, method))),
    });
  }
  const config = await writeDocument({
    architecture,
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: diffIDs },
    history: diffIDs.map(() => ({ created_by: 'test' })),
    ...options.config,
  });
  const manifest = await writeDocument({
    schemaVersion: 2,
    mediaType: `${MEDIA_TYPE}.manifest.v1+json`,
    config: { mediaType: `${MEDIA_TYPE}.config.v1+json`, ...config },
    layers: layerDescriptors,
  });
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        mediaType: `${MEDIA_TYPE}.manifest.v1+json`,
        ...manifest,
        annotations: { 'org.opencontainers.image.ref.name': tag },
      },
    ],
  };
  await writeFile(join(directory, 'index.json'), JSON.stringify(index));
  await writeFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return {
    manifestDigest: manifest.digest,
    configDigest: config.digest,
    diffIDs,
    layerDigests: layerDescriptors.map((layer) => layer.digest),
  };
}

export function compress(bytes: Uint8Array, method: LayerCompression): Uint8Array {
  if (method === 'gzip') return gzipSync(bytes, { level: 1 });
  if (method === 'zstd') return zstdCompressSync(bytes);
  return bytes;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
