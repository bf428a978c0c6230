import { createWriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { digestOf, hexOf, type Digest } from '../../../digest.ts';
import { EMPTY_DOCUMENT } from '../../../image/oci/empty.ts';
import { LAYOUT_MARKER } from '../../../image/write/layoutindex.ts';
import type { ArtifactLayer } from '../../format.ts';
import { serializeDeltaIndex, serializeDeltaManifest, type NewDeltaManifest } from './document.ts';

/** A blob that builds a layer of the target. */
export interface StoredBlob extends ArtifactLayer {
  readonly mediaType: string;
  /** Digest of the target's layer that it builds. */
  readonly to: Digest;
}

export interface DeltaContents extends Omit<NewDeltaManifest, 'blobs'> {
  readonly blobs: readonly StoredBlob[];
}

/** Writes a delta as a new file: an OCI layout in a tar, entry by entry as `oci-delta create` has them. */
export async function writeDeltaArchive(path: string, contents: DeltaContents): Promise<void> {
  const { targetManifest, targetConfig, blobs } = contents;
  const manifest = serializeDeltaManifest({
    ...contents,
    blobs: blobs.map(({ to, ...descriptor }) => ({ to, descriptor })),
  });
  await writeArtifactArchive(path, manifest, [layerOf(targetManifest), layerOf(targetConfig), ...blobs]);
}

function layerOf(bytes: Buffer): ArtifactLayer {
  return {
    digest: digestOf(bytes),
    size: bytes.length,
    async *open() {
      yield bytes;
    },
  };
}

/** Writes the archive of an artifact as a new file. The same artifact gives the same bytes. */
export async function writeArtifactArchive(
  path: string,
  manifest: Buffer,
  layers: readonly ArtifactLayer[],
): Promise<void> {
  const tar = pack();
  const written = pipeline(tar, createWriteStream(path, { flags: 'wx' }));
  try {
    await Promise.all([fill(tar, manifest, layers).then(() => tar.finalize()), written]);
  } catch (error) {
    tar.destroy();
    await written.catch(() => {});
    throw error;
  }
}

/** Of every entry. */
const FIXED = { mtime: new Date(0), uid: 0, gid: 0 };

async function fill(tar: Pack, manifest: Buffer, layers: readonly ArtifactLayer[]): Promise<void> {
  const addFile = (name: string, bytes: Buffer) => tar.entry({ ...FIXED, name, mode: 0o644 }, bytes);
  addFile('oci-layout', LAYOUT_MARKER);
  for (const name of ['blobs/', 'blobs/sha256/']) {
    tar.entry({ ...FIXED, name, type: 'directory', mode: 0o755 });
  }
  const seen = new Set<Digest>();
  for (const layer of layers) {
    const { digest, size } = layer;
    if (seen.has(digest)) continue;
    seen.add(digest);
    const entry = tar.entry({ ...FIXED, name: blobName(digest), mode: 0o644, size });
    const done = finished(entry);
    await Promise.all([pipeline(layer.open(), entry), done]);
  }
  for (const bytes of [EMPTY_DOCUMENT, manifest]) {
    const digest = digestOf(bytes);
    if (!seen.has(digest)) addFile(blobName(digest), bytes);
    seen.add(digest);
  }
  addFile('index.json', serializeDeltaIndex(manifest));
}

const blobName = (digest: Digest) => `blobs/sha256/${hexOf(digest)}`;
