import { PanamaxError } from '../../errors.ts';
import { readS3Access } from './credentials.ts';
import { statIfThere } from '../../runtime/file.ts';
import { openBundle } from './bundle.ts';
import { openDirectoryReader, openDirectoryStore } from './directory.ts';
import { openHttpStore } from './http.ts';
import type { S3Options } from './s3.ts';
import { BUCKET_NAME, type Store, type StoreReader } from './store.ts';

type OpenOptions = Pick<S3Options, 'signal' | 'failFast' | 'mustExist'>;

/** Opens a directory, or `s3://BUCKET[/PREFIX]` with access from the environment. */
export async function openStore(location: string, options: OpenOptions = {}): Promise<Store> {
  if (/^https?:/.test(location)) {
    throw new PanamaxError('usage', 'a store behind a web server is only to be read', { found: location });
  }
  if (location.startsWith('s3:')) return openBucket(location, options);
  if (options.mustExist) await openDirectoryReader(location);
  return openDirectoryStore(location);
}

/** Opens a store for reading: a directory, a bundle, `s3://BUCKET[/PREFIX]` or `http[s]://HOST/PATH`. */
export async function openStoreReader(location: string, signal?: AbortSignal): Promise<StoreReader> {
  const options = signal && { signal };
  if (/^https?:/.test(location)) return openHttpStore(location, options);
  if (location.startsWith('s3:')) return openBucket(location, { readOnly: true, ...options });
  const isFile = (await statIfThere(location))?.isFile() ?? false;
  return isFile ? openBundle(location) : openDirectoryReader(location);
}

async function openBucket(location: string, options: S3Options): Promise<Store> {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*?)\/?)?$/.exec(location);
  if (!match)
    throw new PanamaxError('usage', 'not a store', { expected: 's3://BUCKET[/PREFIX]', found: location });
  const [, bucket, prefix] = match;
  if (bucket!.length < 3 || bucket!.length > 63) {
    throw new PanamaxError('usage', 'no bucket has this name', { expected: BUCKET_NAME, found: bucket! });
  }
  // the S3 client takes longer to load than most commands take
  const { openS3Store } = await import('./s3.ts');
  return openS3Store(await readS3Access(process.env), bucket!, prefix ? `${prefix}/` : '', options);
}
