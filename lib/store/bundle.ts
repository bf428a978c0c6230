import { createWriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import * as v from 'valibot';
import { PanamaxError } from '../errors.ts';
import { formatReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import { replaceFile } from '../runtime/file.ts';
import { objectSchema, parseWith } from '../schema.ts';
import { sealDocument } from '../sealed.ts';
import { keys } from './keys.ts';
import { readName } from './name.ts';
import { openBundle } from './objects/bundle.ts';
import type { StoreReader } from './objects/store.ts';
import { readIndex } from './targetindex.ts';

/** Fixed, so that the same objects always give the same bundle. */
const HEADER = { mtime: new Date(0), mode: 0o644, uid: 0, gid: 0 };

export interface Bundled {
  readonly images: number;
  readonly patches: number;
  /** Of the patches, in bytes. */
  readonly bytes: number;
}

const listSchema = objectSchema({ version: v.literal(1), names: v.array(v.string()) });

/** The names that a bundle was made for. @throws PanamaxError `bad-input` for a store that is not a bundle */
export async function readBundledNames(reader: StoreReader): Promise<readonly string[]> {
  const bytes = await reader.get(keys.bundle);
  const where = `${reader.where} ${keys.bundle}`;
  if (bytes) return parseWith(listSchema, bytes, where).names;
  throw new PanamaxError('bad-input', 'not a bundle', { expected: 'a file made by panamax bundle', where });
}

/** Whether a tar is a bundle. @throws PanamaxError `bad-input` for anything but a plain tar */
export async function isBundle(path: string): Promise<boolean> {
  return (await (await openBundle(path)).get(keys.bundle)) !== undefined;
}

/**
 * Writes the parts of a store that a site needs for some names to one file: the records of the names, and the indexes,
 * patches, signatures and other artifacts of their images. A site reads it as a store.
 *
 * @throws PanamaxError `not-found` for a name without a record or an image without an index; the store's errors
 */
export async function writeBundle(
  reader: StoreReader,
  names: readonly ReleaseName[],
  platform: string,
  path: string,
  signal: AbortSignal,
): Promise<Bundled> {
  // 1. the objects, each once
  const list = { version: 1, names: names.map(formatReleaseName) };
  const documents = new Map([[keys.bundle, sealDocument(list, 2)]]);
  const patches = new Map<string, number>();
  const images = new Set<string>();
  const addDocument = async (key: string) => {
    const bytes = await reader.get(key);
    if (!bytes) throw new PanamaxError('not-found', 'no such object', { where: `${reader.where} ${key}` });
    documents.set(key, bytes);
  };
  for (const name of names) {
    const record = name.digest ? undefined : await readName(reader, name, platform);
    const manifest = name.digest ?? record?.target.manifest;
    const index = manifest && (await readIndex(reader, manifest));
    if (!index) {
      const facts = { found: formatReleaseName(name), where: reader.where };
      throw new PanamaxError('not-found', 'the store has no patches for the name', facts);
    }
    if (record) await addDocument(keys.name(name.repository, name.tag!, record.platform));
    await addDocument(keys.index(manifest));
    const attached = await reader.get(keys.attachments(manifest));
    if (attached) documents.set(keys.attachments(manifest), attached);
    images.add(manifest);
    for (const { key, size } of index.patches) patches.set(key, size);
  }

  // 2. the file
  await replaceFile(path, async (part) => {
    const tar = pack();
    const written = pipeline(tar, createWriteStream(part), { signal });
    const fill = async () => {
      for (const [name, bytes] of documents) tar.entry({ ...HEADER, name }, bytes);
      for (const [name, size] of patches) {
        const entry = tar.entry({ ...HEADER, name, size });
        await Promise.all([pipeline(await reader.open(name), entry), finished(entry)]);
      }
      tar.finalize();
    };
    try {
      await Promise.all([fill(), written]);
    } catch (error) {
      tar.destroy();
      await written.catch(() => {});
      throw error;
    }
  });
  const bytes = patches.values().reduce((sum, size) => sum + size, 0);
  return { images: images.size, patches: patches.size, bytes };
}
