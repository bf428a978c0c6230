/** Wraps layer tars as an OCI image layout directory (image-spec, image-layout.md) with one image in it. */
import { createHash } from 'node:crypto';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { recompress } from './recompress.ts';

export type LayerCompression = 'none' | 'gzip' | 'zstd';

export interface LayoutOptions {
  /** Default 'latest'. */
  readonly tag?: string;
  /** Of all layers, or of each. Default gzip. */
  readonly compression?: LayerCompression | readonly LayerCompression[];
  readonly architecture?: string;
  /** The layers' blobs, if `compression` cannot make them. */
  readonly blobs?: readonly Uint8Array[];
  /** Merged into the image's manifest; undefined removes a key. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Merged into the image's config document; undefined removes a key. */
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

/** Writes an OCI layout with one image of these layers, bottom first. */
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
      ...(await writeBlob(options.blobs?.[i] ?? compress(layer, method))),
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
    ...options.manifest,
  });
  await writeFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeIndex(directory, [await indexEntry(directory, manifest.digest, { tag })]);
  return {
    manifestDigest: manifest.digest,
    configDigest: config.digest,
    diffIDs,
    layerDigests: layerDescriptors.map((layer) => layer.digest),
  };
}

export interface IndexEntry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [key: string]: unknown;
}

/** Descriptor of a manifest or index that is a blob of the layout. */
export async function indexEntry(
  directory: string,
  digest: string,
  { tag, platform, kind = 'manifest' }: { tag?: string; platform?: object; kind?: 'manifest' | 'index' } = {},
): Promise<IndexEntry> {
  const { size } = await stat(blobPath(directory, digest));
  return {
    mediaType: `${MEDIA_TYPE}.${kind}.v1+json`,
    digest,
    size,
    ...(platform && { platform }),
    ...(tag !== undefined && { annotations: { 'org.opencontainers.image.ref.name': tag } }),
  };
}

/** Writes a layout's index.json, or, under a digest that it returns, an index as a blob. */
export async function writeIndex(
  directory: string,
  manifests: readonly IndexEntry[],
  { blob = false } = {},
): Promise<string> {
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: `${MEDIA_TYPE}.index.v1+json`, manifests }),
  );
  await writeFile(blob ? blobPath(directory, digestOf(index)) : join(directory, 'index.json'), index);
  return digestOf(index);
}

export function blobPath(directory: string, digest: string): string {
  return join(directory, 'blobs', 'sha256', digest.slice('sha256:'.length));
}

/**
 * Small layers are compressed as by Go, as real ones are: the search for the encoder of Node's streams takes longer
 * than all other steps of a small image.
 */
const GO = { encoder: 'go', level: 6, header: 'H4sIAAAAAAAA/w==' } as const;
const MAX_KNOWN = 1024 ** 2;

export function compress(bytes: Uint8Array, method: LayerCompression): Uint8Array {
  if (method === 'gzip')
    return bytes.length > MAX_KNOWN ? gzipSync(bytes, { level: 1 }) : recompress(GO, bytes);
  if (method === 'zstd') return zstdCompressSync(bytes);
  return bytes;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
