import type { Destination } from './destination.ts';
import { hexOf } from '../../digest.ts';
import { createWriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import type { LayoutForm } from './form.ts';
import { layoutIndex, LAYOUT_MARKER } from './layout.ts';
import { replaceFile } from '../../runtime/file.ts';
import type { Image } from '../open.ts';
import type { ImageRecord } from '../record.ts';
import type { RebuiltLayer } from './rebuilt.ts';

/** Writes an OCI layout as a tar. */
export async function writeArchive(
  image: ImageRecord,
  layers: AsyncIterable<RebuiltLayer>,
  { path, name }: Destination,
  form: LayoutForm,
): Promise<void> {
  await writeTar(path, async (tar) => {
    const seen = new Set<string>();
    for await (const layer of layers) {
      const { digest, size, bytes } = form.blob(layer);
      await addLayer(tar, blobName(digest), size, bytes, seen);
    }
    addBytes(tar, blobName(image.config), Buffer.from(image.configDocument));
    addBytes(tar, blobName(form.descriptor.digest), form.manifest);
    addBytes(tar, 'index.json', layoutIndex(form.descriptor, name));
    addBytes(tar, 'oci-layout', LAYOUT_MARKER);
  });
}

/** Copies an image as it is, blob by blob, into an OCI layout as a tar. */
export async function copyToArchive(
  image: Image,
  { path, name }: Omit<Destination, 'transport'>,
): Promise<void> {
  const { manifest, manifestBytes, manifestDigest, configDigest, configBytes } = image;
  await writeTar(path, async (tar) => {
    const seen = new Set<string>();
    for (const layer of image.layers) {
      const { digest, size } = layer.descriptor;
      // what occurs twice is fetched once
      if (!seen.has(blobName(digest))) await addLayer(tar, blobName(digest), size, layer.blob(), seen);
    }
    addBytes(tar, blobName(configDigest), configBytes);
    addBytes(tar, blobName(manifestDigest), manifestBytes);
    const descriptor = {
      mediaType: manifest.mediaType,
      digest: manifestDigest,
      size: manifestBytes.length,
    };
    addBytes(tar, 'index.json', layoutIndex(descriptor, name));
    addBytes(tar, 'oci-layout', LAYOUT_MARKER);
  });
}

/** Writes what `docker load` takes (moby image-spec v1.2): manifest.json, the config, a tar for each layer. */
export async function writeDockerArchive(
  image: ImageRecord,
  layers: AsyncIterable<RebuiltLayer>,
  { path, name }: Destination,
): Promise<void> {
  await writeTar(path, async (tar) => {
    const seen = new Set<string>();
    for await (const { diffID, size, tar: bytes } of layers) {
      await addLayer(tar, `${hexOf(diffID)}.tar`, size, bytes, seen);
    }
    const config = `${hexOf(image.config)}.json`;
    addBytes(tar, config, Buffer.from(image.configDocument));
    const entry = {
      Config: config,
      RepoTags: name === undefined ? [] : [tagged(name)],
      Layers: image.layers.map(({ diffID }) => `${hexOf(diffID)}.tar`),
    };
    addBytes(tar, 'manifest.json', Buffer.from(JSON.stringify([entry])));
  });
}

/** Engines take no name without a tag. */
function tagged(name: string): string {
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

const blobName = (digest: `sha256:${string}`) => `blobs/sha256/${hexOf(digest)}`;

/** The same image gives the same archive. */
const FIXED = { mtime: new Date(0), mode: 0o644, uid: 0, gid: 0 };

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
  tar.entry({ ...FIXED, name }, bytes);
}

async function addLayer(
  tar: Pack,
  name: string,
  size: number,
  bytes: AsyncIterable<Uint8Array>,
  seen: Set<string>,
): Promise<void> {
  if (seen.has(name)) {
    for await (const _ of bytes);
    return;
  }
  seen.add(name);
  const entry = tar.entry({ ...FIXED, name, size });
  const done = finished(entry);
  await Promise.all([pipeline(copied(bytes), entry), done]);
}

const COPY_SIZE = 64 * 1024;

/** The packer holds on to pieces after it took them, and the layer's are views of a buffer that is used again. */
async function* copied(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += COPY_SIZE)
      yield Buffer.from(chunk.subarray(at, at + COPY_SIZE));
  }
}
