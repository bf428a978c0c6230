import { setMaxListeners } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { Client, type ClientOptions } from 'minio';
import { http, https, startRequest, type Timeouts } from '../../runtime/http/client.ts';
import { isTransientStatus, retryAfterOf, StatusError, type RetryPolicy } from '../../runtime/http/retry.ts';
import type { Keys, S3Access } from './credentials.ts';
import { clockSkew, hasCode, isTransient } from './s3errors.ts';

/** Difference of clocks from which on a refusal is put down to it, in milliseconds. Servers allow 15 minutes. */
const CLOCK_TOLERANCE = 5 * 60_000;

/** A bucket with the policy for failed requests to it. */
export interface Bucket {
  readonly client: Client;
  readonly name: string;
  /** Bucket and host, for messages. */
  readonly where: string;
  readonly policy: RetryPolicy;
}

export interface Patience extends Timeouts {
  readonly attempts: number;
  /** Before the second attempt, doubled for each further one. In milliseconds. */
  readonly delay: number;
}

export function bucketOf(access: S3Access, name: string, patience: Patience, signal?: AbortSignal): Bucket {
  const { endpoint, region, accessKey, secretKey, sessionToken, renew } = access;
  const useSSL = endpoint.protocol === 'https:';
  // every request in progress adds a listener
  if (signal) setMaxListeners(0, signal);
  const client = new Client({
    endPoint: endpoint.hostname,
    port: Number(endpoint.port) || (useSSL ? 443 : 80),
    useSSL,
    region,
    accessKey,
    secretKey,
    ...(sessionToken !== undefined && { sessionToken }),
    ...(renew && { credentialsProvider: providerOf(renew) }),
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

/** Keys for the minio client, which asks for them before each request. */
function providerOf(renew: () => Promise<Keys>): NonNullable<ClientOptions['credentialsProvider']> {
  const provider = {
    async getCredentials() {
      const { accessKey, secretKey, sessionToken } = await renew();
      return {
        getAccessKey: () => accessKey,
        getSecretKey: () => secretKey,
        getSessionToken: () => sessionToken,
      };
    },
  };
  // the client uses nothing else of its class
  return provider as unknown as NonNullable<ClientOptions['credentialsProvider']>;
}

/**
 * Adapts `startRequest` to the minio client, which has no time-outs and no abort, and takes the error page of a proxy
 * for a response of the store.
 */
function createTransport(isSecure: boolean, timeouts: Timeouts, signal?: AbortSignal) {
  const create = (options: RequestOptions) => (isSecure ? https : http).request(options);

  function request(options: RequestOptions, onResponse: (response: IncomingMessage) => void): ClientRequest {
    const sent = startRequest(create, options, timeouts, signal);
    sent.on('response', (response) => {
      const { statusCode = 0, statusMessage = '', headers } = response;
      const isConflict = statusCode === 409 && options.method === 'HEAD';
      if (isTransientStatus(statusCode) || isConflict) {
        const message = `answer ${statusCode} ${statusMessage}`;
        sent.destroy(new StatusError(statusCode, message, retryAfterOf(response)));
        return;
      }
      const serverTime = Date.parse(headers.date ?? '');
      const isSkewed = Math.abs(serverTime - Date.now()) > CLOCK_TOLERANCE;
      if (statusCode === 403 && isSkewed) sent.destroy(clockSkew(serverTime));
      else onResponse(response);
    });
    return sent;
  }
  return { request: request as typeof http.request };
}

export async function hasBucket({ client, name }: Bucket): Promise<boolean> {
  return client.bucketExists(name);
}

/** Creates the bucket if it is missing, as a directory store creates its directory. */
export async function makeBucket({ client, name }: Bucket, region: string): Promise<void> {
  if (await client.bucketExists(name)) return;
  try {
    await client.makeBucket(name, region);
  } catch (error) {
    // another process has created it in the meantime
    if (!hasCode(error, 'BucketAlreadyOwnedByYou')) throw error;
  }
}
