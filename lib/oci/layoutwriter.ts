import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, hexOf, type Descriptor, type Digest } from './descriptor.ts';
import { MEDIA_TYPES, parseIndex } from './manifest.ts';
import { replaceFile, writeChunks } from '../file.ts';
import type { ImageRecord } from './record.ts';
import type { Destination, RebuiltLayer } from './writer.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';
const DEFAULT_TAG = 'latest';

/** The OCI manifest of an image whose layers are stored uncompressed. */
export function plainManifest(image: ImageRecord): Buffer {
  return Buffer.from(
    JSON.stringify({
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
    }),
  );
}

/** The index.json of a layout, with what it names already but for the same tag. */
export function layoutIndex(
  manifest: Buffer,
  tag: string | undefined,
  others: readonly Descriptor[] = [],
): Buffer {
  const name = tag ?? DEFAULT_TAG;
  const descriptor: Descriptor = {
    mediaType: MEDIA_TYPES.ociManifest,
    digest: digestOf(manifest),
    size: manifest.length,
    annotations: { [REF_NAME]: name },
  };
  const kept = others.filter((other) => other.annotations?.[REF_NAME] !== name);
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [...kept, descriptor] }),
  );
}

export const LAYOUT_MARKER = Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' }));

/**
 * Writes into an OCI layout directory, made where it is missing; other images in it stay. The index that names
 * the image comes last.
 */
export async function writeLayout(
  image: ImageRecord,
  layers: AsyncIterable<RebuiltLayer>,
  { path, name }: Destination,
): Promise<void> {
  const blobs = join(path, 'blobs', 'sha256');
  let made = false;
  const blobPath = async (digest: Digest) => {
    if (!made) await mkdir(blobs, { recursive: true });
    made = true;
    return join(blobs, hexOf(digest));
  };
  for await (const layer of layers) {
    await replaceFile(await blobPath(layer.diffID), (part) => writeChunks(part, layer.tar));
  }
  await writeBytes(await blobPath(image.config), Buffer.from(image.configDocument));
  const manifest = plainManifest(image);
  await writeBytes(await blobPath(digestOf(manifest)), manifest);
  const indexPath = join(path, 'index.json');
  const exists = await stat(indexPath).catch(() => undefined);
  const others = exists ? parseIndex(await readFile(indexPath), indexPath) : [];
  await writeBytes(join(path, 'oci-layout'), LAYOUT_MARKER);
  await writeBytes(indexPath, layoutIndex(manifest, name, others));
}

async function writeBytes(path: string, bytes: Buffer): Promise<void> {
  await replaceFile(path, (part) => writeFile(part, bytes, { flag: 'wx' }));
}
