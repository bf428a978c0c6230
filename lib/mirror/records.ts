import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { digestOf, hexOf, type Digest } from '../digest.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { Descriptor } from '../image/oci/descriptor.ts';
import { makeDirectories, replaceFile, sweepParts } from '../runtime/file.ts';
import { digestSchema, objectSchema, parseWith, type Checked } from '../schema.ts';
import { referencesOf, type References } from './references.ts';
import type { BlobCache } from './blobcache.ts';

const manifestSchema = objectSchema({
  version: v.literal(1),
  digest: digestSchema,
  /** As the upstream serves it; the bytes need not tell. */
  mediaType: v.string(),
  /** HOST/PATH */
  repository: v.string(),
  /** Time of the first request for it, in milliseconds since 1970. */
  added: v.number(),
});

const tagSchema = objectSchema({
  version: v.literal(1),
  name: v.string(),
  digest: digestSchema,
  isSigned: v.boolean(),
});

/** The image that a name stood for when it was last resolved. */
export interface AcceptedTag {
  readonly digest: Digest;
  /** Whether a record that a trusted key has signed said so. */
  readonly isSigned: boolean;
}

/** A manifest or an index that the mirror has served. Its bytes are a blob of the cache. */
export interface HeldManifest extends Checked<typeof manifestSchema>, References {
  readonly bytes: Buffer;
  /** Time of the last request for it, in milliseconds since 1970. */
  served: number;
}

/** The documents that a mirror keeps beside its blobs. */
export interface Records {
  readonly manifests: ReadonlyMap<Digest, HeldManifest>;
  /** By name HOST/PATH:TAG. */
  readonly tags: ReadonlyMap<string, AcceptedTag>;
  /** The blob of a manifest that was served. */
  findBlob(digest: Digest): Descriptor | undefined;
  addManifest(found: FoundManifest, repository: string): Promise<HeldManifest>;
  setTag(name: string, accepted: AcceptedTag): Promise<void>;
  /** Records that a manifest was asked for now. */
  touch(digest: Digest): void;
  /** Forgets a manifest and removes the file of its bytes. */
  removeManifest(digest: Digest): Promise<void>;
}

interface FoundManifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

/** Opens the documents in a state directory. Damaged ones are removed: they can be had again. */
export async function openRecords(state: string, cache: BlobCache): Promise<Records> {
  const manifestDirectory = join(state, 'manifests');
  const tagDirectory = join(state, 'tags');
  const manifests = new Map<Digest, HeldManifest>();
  const tags = new Map<string, AcceptedTag>();
  const blobs = new Map<Digest, Descriptor>();
  const manifestPath = (digest: Digest) => join(manifestDirectory, `${hexOf(digest)}.json`);

  function remember(manifest: HeldManifest): HeldManifest {
    manifests.set(manifest.digest, manifest);
    for (const blob of manifest.blobs) blobs.set(blob.digest, blob);
    return manifest;
  }

  await loadDocuments(manifestDirectory, async (document, path, modified) => {
    const record = parseWith(manifestSchema, document, path);
    const bytes = await readFile(join(cache.directory, 'sha256', hexOf(record.digest)));
    const found = digestOf(bytes);
    if (found !== record.digest)
      throw new PanamaxError('bad-input', 'digest mismatch', { found, where: path });
    remember({ ...record, bytes, ...referencesOf(bytes, path), served: modified });
  });
  await loadDocuments(tagDirectory, async (document, path) => {
    const { name, digest, isSigned } = parseWith(tagSchema, document, path);
    if (manifests.has(digest)) tags.set(name, { digest, isSigned });
  });

  return {
    manifests,
    tags,
    findBlob: (digest) => blobs.get(digest),

    async addManifest({ digest, mediaType, bytes }, repository) {
      const known = manifests.get(digest);
      if (known) return known;
      const references = referencesOf(bytes, digest);
      await cache.put(digest, bytes);
      const record = { version: 1, digest, mediaType, repository, added: Date.now() } as const;
      await writeRecord(manifestPath(digest), record);
      return remember({ ...record, bytes, ...references, served: record.added });
    },

    async setTag(name, { digest, isSigned }) {
      const known = tags.get(name);
      if (known?.digest === digest && known.isSigned === isSigned) return;
      tags.set(name, { digest, isSigned });
      const path = join(tagDirectory, `${hexOf(digestOf(name))}.json`);
      await writeRecord(path, { version: 1, name, digest, isSigned });
    },

    touch(digest) {
      const manifest = manifests.get(digest);
      if (!manifest) return;
      const now = new Date();
      manifest.served = now.getTime();
      // the time is of use for the quota only
      void utimes(manifestPath(digest), now, now).catch(() => {});
    },

    async removeManifest(digest) {
      const manifest = manifests.get(digest);
      manifests.delete(digest);
      await rm(manifestPath(digest), { force: true });
      await cache.remove(digest);
      for (const blob of manifest?.blobs ?? []) blobs.delete(blob.digest);
      for (const other of manifests.values()) for (const blob of other.blobs) blobs.set(blob.digest, blob);
    },
  };
}

async function writeRecord(path: string, record: object): Promise<void> {
  await replaceFile(path, (part) => writeFile(part, `${JSON.stringify(record, null, 2)}\n`));
}

/** Loads the documents of a directory, which is made. Removes those that cannot be loaded. */
async function loadDocuments(
  directory: string,
  load: (document: Buffer, path: string, modified: number) => Promise<void>,
): Promise<void> {
  await makeDirectories(directory, 0o700);
  await sweepParts(directory);
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (!name.endsWith('.json')) continue;
    try {
      await load(await readFile(path), path, (await stat(path)).mtimeMs);
    } catch (error) {
      const { kind } = toPanamaxError(error);
      if (kind !== 'bad-input' && kind !== 'not-found') throw error;
      await rm(path, { force: true });
    }
  }
}
