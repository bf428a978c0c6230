import { createWriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { hexOf, type Digest } from '../../digest.ts';
import { replaceFile } from '../../runtime/file.ts';
import type { ImageBlobs } from './imageblobs.ts';
import { layoutIndex, LAYOUT_MARKER } from './layoutindex.ts';

/** Writes an OCI layout as a tar. A blob that occurs twice is written once. */
export async function writeArchive(image: ImageBlobs, path: string, name?: string): Promise<void> {
  const { manifest, config } = image;
  await writeTar(path, async (tar) => {
    await addLayers(tar, image, blobName);
    for (const { descriptor, bytes } of [config, manifest]) addBytes(tar, blobName(descriptor.digest), bytes);
    addBytes(tar, 'index.json', layoutIndex(manifest.descriptor, name));
    addBytes(tar, 'oci-layout', LAYOUT_MARKER);
  });
}

/**
 * Writes an archive for `docker load` (moby image-spec v1.2): the layers, the config, manifest.json.
 *
 * @param image with uncompressed layers
 */
export async function writeDockerArchive(image: ImageBlobs, path: string, name?: string): Promise<void> {
  const { descriptor, bytes } = image.config;
  const config = `${hexOf(descriptor.digest)}.json`;
  await writeTar(path, async (tar) => {
    await addLayers(tar, image, layerName);
    addBytes(tar, config, bytes);
    const entry = {
      Config: config,
      RepoTags: name === undefined ? [] : [withTag(name)],
      Layers: image.diffIDs.map(layerName),
    };
    addBytes(tar, 'manifest.json', Buffer.from(JSON.stringify([entry])));
  });
}

const blobName = (digest: Digest) => `blobs/sha256/${hexOf(digest)}`;
const layerName = (digest: Digest) => `${hexOf(digest)}.tar`;

/** Engines do not accept a name without a tag. */
function withTag(name: string): string {
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

/** Fixed, so that an image always gives the same archive. */
const HEADER = { mtime: new Date(0), mode: 0o644, uid: 0, gid: 0 };

async function writeTar(path: string, fill: (tar: Pack) => Promise<void>): Promise<void> {
  await replaceFile(path, async (part) => {
    const tar = pack();
    const written = pipeline(tar, createWriteStream(part));
    try {
      await Promise.all([fill(tar).then(() => tar.finalize()), written]);
    } catch (error) {
      tar.destroy();
      await written.catch(() => {});
      throw error;
    }
  });
}

function addBytes(tar: Pack, name: string, bytes: Buffer): void {
  tar.entry({ ...HEADER, name }, bytes);
}

async function addLayers(tar: Pack, { layers }: ImageBlobs, nameOf: (digest: Digest) => string) {
  const seen = new Set<Digest>();
  for await (const { descriptor, bytes } of layers) {
    const { digest, size } = descriptor;
    if (seen.has(digest)) continue;
    seen.add(digest);
    const entry = tar.entry({ ...HEADER, name: nameOf(digest), size });
    await Promise.all([pipeline(copied(bytes), entry), finished(entry)]);
  }
}

const COPY_SIZE = 64 * 1024;

/** Copies pieces: the packer keeps them after it has taken them, and a layer's are views of a reused buffer. */
async function* copied(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += COPY_SIZE)
      yield Buffer.from(chunk.subarray(at, at + COPY_SIZE));
  }
}
