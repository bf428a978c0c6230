import { setMaxListeners } from 'node:events';
import { Client } from 'minio';
import type { S3Access } from './credentials.ts';
import type { RetryPolicy } from '../../runtime/http/retry.ts';
import { hasCode, isTransient } from './s3errors.ts';
import { createTransport, type Timeouts } from '../s3transport.ts';

/** Uploads that were begun so long ago were left by a process that is gone. In milliseconds. */
const STALE_UPLOAD = 24 * 3600 * 1000;

/** A bucket, and how patient to be with it. */
export interface Bucket {
  readonly client: Client;
  readonly name: string;
  /** In messages. */
  readonly where: string;
  readonly policy: RetryPolicy;
}

export interface Patience extends Timeouts {
  readonly attempts: number;
  /** Before the second attempt; doubled each time. In milliseconds. */
  readonly delay: number;
}

export function bucketOf(access: S3Access, name: string, patience: Patience, signal?: AbortSignal): Bucket {
  const { endpoint, region, accessKey, secretKey } = access;
  const useSSL = endpoint.protocol === 'https:';
  // each request under way listens
  if (signal) setMaxListeners(0, signal);
  const client = new Client({
    endPoint: endpoint.hostname,
    port: Number(endpoint.port) || (useSSL ? 443 : 80),
    useSSL,
    region,
    accessKey,
    secretKey,
    transport: createTransport(useSSL, patience, signal),
    retryOptions: { disableRetry: true },
  });
  const policy = {
    attempts: patience.attempts,
    delay: patience.delay,
    isTransient,
    ...(signal && { signal }),
  };
  return { client, name, where: `s3://${name} at ${endpoint.host}`, policy };
}

export async function hasBucket({ client, name }: Bucket): Promise<boolean> {
  return client.bucketExists(name);
}

/** Makes the bucket where it is missing, as the directory of a store is. */
export async function makeBucket({ client, name }: Bucket, region: string): Promise<void> {
  if (await client.bucketExists(name)) return;
  try {
    await client.makeBucket(name, region);
  } catch (error) {
    // another was faster
    if (!hasCode(error, 'BucketAlreadyOwnedByYou')) throw error;
  }
}

/** Ends what uploads were never finished. Their parts cannot be seen, but take room. */
export async function sweepUploads({ client, name }: Bucket, prefix: string): Promise<void> {
  for await (const upload of client.listIncompleteUploads(name, prefix, true)) {
    const { key, uploadId, initiated } = upload as { key: string; uploadId: string; initiated: Date };
    if (Date.now() - new Date(initiated).getTime() < STALE_UPLOAD) continue;
    await client.abortMultipartUpload(name, key, uploadId);
  }
}
