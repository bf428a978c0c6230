import type { KnownCompressions } from '../image/compression/known.ts';
import type { Digest } from '../digest.ts';
import { asRecord, parseDocument } from '../json.ts';
import { PanamaxError } from '../errors.ts';
import { keys } from './keys.ts';
import type { Store } from './objects/store.ts';
import { parseCompression, type Compression } from '../compression/recipe.ts';

/** What the store knows of layers. A damaged entry is as none. */
export async function loadCompressions(store: Store, layers: Iterable<Digest>): Promise<KnownCompressions> {
  const known = new Map<Digest, Compression | null>();
  for (const digest of new Set(layers)) {
    const key = keys.compression(digest);
    const bytes = await store.get(key);
    const compression = bytes && parse(bytes, `${store.where} ${key}`);
    if (compression !== undefined) known.set(digest, compression);
  }
  return known;
}

export async function storeCompressions(store: Store, found: KnownCompressions): Promise<void> {
  for (const [digest, compression] of found) {
    await store.put(keys.compression(digest), Buffer.from(`${JSON.stringify({ compression })}\n`));
  }
}

function parse(bytes: Uint8Array, where: string): Compression | null | undefined {
  try {
    const { compression } = asRecord(parseDocument(bytes, where), where);
    return compression === null ? null : parseCompression(compression, where);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}
