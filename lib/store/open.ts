import { PanamaxError } from '../errors.ts';
import { readS3Access } from './credentials.ts';
import { openDirectoryStore } from './directory.ts';
import { openS3Store } from './s3.ts';
import type { Store } from './store.ts';

/**
 * Opens `s3://BUCKET[/PREFIX]`, with access from the environment, or a directory.
 *
 * @param signal ends what requests to a server are under way
 */
export async function openStore(location: string, signal?: AbortSignal): Promise<Store> {
  if (!location.startsWith('s3://')) return openDirectoryStore(location);
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*?)\/?)?$/.exec(location);
  if (!match)
    throw new PanamaxError('usage', 'not a store', { expected: 's3://BUCKET[/PREFIX]', found: location });
  const [, bucket, prefix] = match;
  return openS3Store(
    await readS3Access(process.env),
    bucket!,
    prefix ? `${prefix}/` : '',
    signal && { signal },
  );
}
