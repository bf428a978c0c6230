import { PanamaxError } from '../errors.ts';
import { readS3Access } from './credentials.ts';
import { openDirectoryReader, openDirectoryStore } from './directory.ts';
import { openHttpStore } from './http.ts';
import { openS3Store } from './s3.ts';
import type { Store, StoreReader } from './store.ts';

/**
 * Opens `s3://BUCKET[/PREFIX]`, with access from the environment, or a directory.
 *
 * @param signal ends what requests to a server are under way
 */
export async function openStore(location: string, signal?: AbortSignal): Promise<Store> {
  if (/^https?:/.test(location)) {
    throw new PanamaxError('usage', 'a store behind a web server is only to be read', { found: location });
  }
  return location.startsWith('s3:') ? openBucket(location, false, signal) : openDirectoryStore(location);
}

/** Opens what `openStore` does, or what a web server serves at `http[s]://HOST/PATH`, to read. */
export async function openStoreReader(location: string, signal?: AbortSignal): Promise<StoreReader> {
  if (/^https?:/.test(location)) return openHttpStore(location, signal && { signal });
  return location.startsWith('s3:') ? openBucket(location, true, signal) : openDirectoryReader(location);
}

async function openBucket(location: string, readOnly: boolean, signal?: AbortSignal): Promise<Store> {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*?)\/?)?$/.exec(location);
  if (!match)
    throw new PanamaxError('usage', 'not a store', { expected: 's3://BUCKET[/PREFIX]', found: location });
  const [, bucket, prefix] = match;
  const options = { readOnly, ...(signal && { signal }) };
  return openS3Store(await readS3Access(process.env), bucket!, prefix ? `${prefix}/` : '', options);
}
