import * as v from 'valibot';
import type { Digest } from '../../lib/digest.ts';
import { formatRegistryName } from '../../lib/image/oci/registryname.ts';
import { digestSchema, objectSchema, parseWith } from '../../lib/schema.ts';
import { sealDocument } from '../../lib/sealed.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import type { Repository } from './watched.ts';

/** The store's notes about tags and catalogs that were seen (docs/formats.md, "Store"). */

const watchedSchema = objectSchema({
  version: v.literal(1),
  /** HOST/REPO, or HOST for a catalog. */
  repository: v.string(),
  tags: v.record(v.string(), digestSchema),
});

/** @returns digests by tag, undefined for a repository that was not seen yet @throws PanamaxError `bad-input` */
export async function readNote(name: Repository, store: Store): Promise<Map<string, Digest> | undefined> {
  return read(formatRegistryName(name), store);
}

export async function writeNote(
  name: Repository,
  tags: ReadonlyMap<string, Digest>,
  store: Store,
): Promise<void> {
  await write(formatRegistryName(name), tags, store);
}

/** Whether the registry's catalog was seen before. */
export async function isCatalogNoted(registry: string, store: Store): Promise<boolean> {
  return (await read(registry, store)) !== undefined;
}

export async function noteCatalog(registry: string, store: Store): Promise<void> {
  await write(registry, new Map(), store);
}

async function read(place: string, store: Store): Promise<Map<string, Digest> | undefined> {
  const key = keys.watched(place);
  const bytes = await store.get(key);
  return bytes && new Map(Object.entries(parseWith(watchedSchema, bytes, `${store.where} ${key}`).tags));
}

async function write(place: string, tags: ReadonlyMap<string, Digest>, store: Store): Promise<void> {
  const note = { version: 1, repository: place, tags: Object.fromEntries(tags) };
  await store.put(keys.watched(place), sealDocument(note, 2));
}
