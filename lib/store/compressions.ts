import { sealDocument } from '../sealed.ts';
import * as v from 'valibot';
import { parseCompression, type Compression } from '../compression/recipe.ts';
import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import type { KnownCompressions } from '../image/compression/known.ts';
import { objectSchema, parseWith } from '../schema.ts';
import { keys } from './keys.ts';
import type { Store } from './objects/store.ts';

/** In milliseconds. */
const DAY = 24 * 3600_000;
/** Age at which a search without result is repeated: its cause may have been an error or a record written by mistake. */
const MAX_AGE_OF_NONE = 30 * DAY;

/**
 * Loads the known compressions of layers. Skips damaged entries, and entries without a compression that are 30 days
 * old: the next job of the image replaces them.
 */
export async function loadCompressions(store: Store, layers: Iterable<Digest>): Promise<KnownCompressions> {
  const known = new Map<Digest, Compression | null>();
  for (const digest of new Set(layers)) {
    const key = keys.compression(digest);
    const bytes = await store.get(key);
    const compression = bytes && parse(bytes, `${store.where} ${key}`);
    if (compression === undefined || (compression === null && (await isOld(store, key)))) continue;
    known.set(digest, compression);
  }
  return known;
}

async function isOld(store: Store, key: string): Promise<boolean> {
  const info = await store.stat(key);
  return !info || Date.now() - info.modified.getTime() > MAX_AGE_OF_NONE;
}

export async function storeCompressions(store: Store, found: KnownCompressions): Promise<void> {
  for (const [digest, compression] of found) {
    await store.put(keys.compression(digest), sealDocument({ compression }));
  }
}

/** `null` stands for a layer whose compression was looked for in vain. */
const entrySchema = objectSchema({ compression: v.unknown() });

/** @returns undefined for an unknown encoder @throws PanamaxError `bad-input` */
export function parseCompressionRecord(bytes: Uint8Array, where: string): Compression | null | undefined {
  const { compression } = parseWith(entrySchema, bytes, where) as { compression: unknown };
  return compression === null ? null : parseCompression(compression, `${where} compression`);
}

function parse(bytes: Uint8Array, where: string): Compression | null | undefined {
  try {
    return parseCompressionRecord(bytes, where);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}
