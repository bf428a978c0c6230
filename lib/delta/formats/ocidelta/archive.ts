import { digestOf, hexOf, type Digest } from '../../../digest.ts';
import { createWriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { LAYOUT_MARKER } from '../../../image/write/layout.ts';
import {
  EMPTY_DOCUMENT,
  serializeDeltaIndex,
  serializeDeltaManifest,
  type NewDeltaManifest,
} from './document.ts';

export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  /** Digest of the target's layer that it builds. */
  readonly to: Digest;
  open(): AsyncIterable<Uint8Array>;
}

export interface DeltaContents extends Omit<NewDeltaManifest, 'blobs'> {
  readonly blobs: readonly StoredBlob[];
}

/** The same contents give the same archive. */
const FIXED = { mtime: new Date(0), uid: 0, gid: 0 };

/** Writes a delta as a new file: an OCI layout in a tar, entry by entry as `oci-delta create` has them. */
export async function writeDeltaArchive(path: string, contents: DeltaContents): Promise<void> {
  const tar = pack();
  const written = pipeline(tar, createWriteStream(path, { flags: 'wx' }));
  try {
    await Promise.all([fill(tar, contents).then(() => tar.finalize()), written]);
  } catch (error) {
    tar.destroy();
    await written.catch(() => {});
    throw error;
  }
}

async function fill(tar: Pack, contents: DeltaContents): Promise<void> {
  const { targetManifest, targetConfig, blobs } = contents;
  const deltaManifest = serializeDeltaManifest({
    ...contents,
    blobs: blobs.map(({ to, ...descriptor }) => ({ to, descriptor })),
  });
  const seen = new Set<Digest>();
  const addBlob = (bytes: Buffer) => {
    const digest = digestOf(bytes);
    if (!seen.has(digest)) addFile(tar, blobName(digest), bytes);
    seen.add(digest);
  };

  addFile(tar, 'oci-layout', LAYOUT_MARKER);
  for (const name of ['blobs/', 'blobs/sha256/'])
    tar.entry({ ...FIXED, name, type: 'directory', mode: 0o755 });
  addBlob(targetManifest);
  addBlob(targetConfig);
  for (const blob of blobs) {
    if (seen.has(blob.digest)) continue;
    seen.add(blob.digest);
    const entry = tar.entry({ ...FIXED, name: blobName(blob.digest), mode: 0o644, size: blob.size });
    const done = finished(entry);
    await Promise.all([pipeline(blob.open(), entry), done]);
  }
  addBlob(EMPTY_DOCUMENT);
  addBlob(deltaManifest);
  addFile(tar, 'index.json', serializeDeltaIndex(deltaManifest));
}

const blobName = (digest: Digest) => `blobs/sha256/${hexOf(digest)}`;

function addFile(tar: Pack, name: string, bytes: Buffer): void {
  tar.entry({ ...FIXED, name, mode: 0o644 }, bytes);
}
