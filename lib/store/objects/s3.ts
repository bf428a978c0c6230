import { open } from 'node:fs/promises';
import { PanamaxError } from '../../errors.ts';
import { speaksTls } from '../../runtime/http/tls.ts';
import type { S3Access } from './credentials.ts';
import { createRetry, retrying } from '../../runtime/http/retry.ts';
import { bucketOf, hasBucket, makeBucket, type Patience } from './s3bucket.ts';
import { download, type Download } from './s3download.ts';
import { isMissing, storeError } from './s3errors.ts';
import { listPage, type ListPosition } from './s3list.ts';
import { sweepUploads, uploadBytes, uploadFile, verifyUpload, type Upload } from './s3upload.ts';
import { checkKey, checkPrefix, MAX_DOCUMENT_SIZE, tooLarge, type Store } from './store.ts';

/** Short time-outs for the first request, so that a wrong address fails soon. */
const FIRST_CONTACT: Patience = { attempts: 2, delay: 250, connect: 4000, idle: 5000 };
/** Long time-outs for a server that has answered before: it may be restarting or busy. */
const PATIENCE: Patience = { attempts: 6, delay: 250, connect: 10_000, idle: 60_000 };

export interface S3Options {
  readonly patience?: Patience;
  readonly firstContact?: Patience;
  /** Whether later requests fail as soon as the first one does. For commands that a user waits for. */
  readonly failFast?: boolean;
  /** Whether the account may only read: the bucket is not created and stale uploads are not aborted. */
  readonly readOnly?: boolean;
  /** Whether a missing bucket is an error instead of being created. */
  readonly mustExist?: boolean;
  /** Ends requests in progress. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a store in a bucket of an S3 server, below `prefix` ('' or ending with `/`), and creates a missing bucket.
 * Requests are repeated after transient failures. After an error no partial object is visible.
 *
 * @throws PanamaxError `io` when the server refuses or does not answer within some seconds; `not-found`
 */
export async function openS3Store(
  access: S3Access,
  bucketName: string,
  prefix: string,
  options: S3Options = {},
): Promise<Store> {
  const {
    firstContact = FIRST_CONTACT,
    failFast = false,
    readOnly = false,
    mustExist = false,
    signal,
  } = options;
  const patience = options.patience ?? (failFast ? firstContact : PATIENCE);
  const bucket = bucketOf(access, bucketName, patience, signal);
  const { client, policy } = bucket;
  const name = `s3://${bucketName}/${prefix}`;
  const where = `${name} at ${access.endpoint.host}`;

  async function inStore<T>(key: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw storeError(error, `${where} ${key}`);
    }
  }

  const objectOf = (key: string) => {
    checkKey(key);
    return prefix + key;
  };

  /** Explains a closed plain HTTP connection to a server that speaks TLS. Throws any other error as it is. */
  async function explained(error: unknown): Promise<never> {
    const { endpoint } = access;
    const isPlain = endpoint.protocol === 'http:' && endpoint.port !== '';
    const isEnded = /^(ECONNRESET$|HPE_)/.test((error as NodeJS.ErrnoException).code ?? '');
    if (!isPlain || !isEnded || !(await speaksTls(endpoint, firstContact.connect))) throw error;
    const problem = 'the server speaks TLS: https:// rather than http://?';
    throw new PanamaxError('io', problem, { where, isFinal: true }, { cause: error });
  }

  async function put(key: string, send: (object: string) => Promise<Upload>): Promise<void> {
    const object = objectOf(key);
    await inStore(key, async () => verifyUpload(bucket, object, await send(object)));
  }

  async function begin(key: string, offset?: number): Promise<Download> {
    const object = objectOf(key);
    return inStore(key, () => download(bucket, object, offset));
  }

  async function* piecesOf(key: string, { bytes }: Download): AsyncGenerator<Uint8Array, void, void> {
    try {
      yield* bytes;
    } catch (error) {
      throw storeError(error, `${where} ${key}`);
    }
  }

  if (!readOnly)
    await inStore('', async () => {
      const first = bucketOf(access, bucketName, firstContact, signal);
      const ready = async () => {
        if (!mustExist) await makeBucket(first, access.region);
        else if (!(await hasBucket(first))) throw new PanamaxError('not-found', 'no such store', { where });
      };
      await retrying(first.policy, ready).catch(explained);
      // optional: some accounts may not list uploads, and some servers cannot
      await sweepUploads(first, prefix).catch(() => {});
    });

  return {
    name,
    where,
    async get(key) {
      const found = await begin(key).catch((error: unknown) => {
        if (error instanceof PanamaxError && error.kind === 'not-found') return undefined;
        throw error;
      });
      if (!found) return undefined;
      if (found.size > MAX_DOCUMENT_SIZE) {
        found.close();
        throw tooLarge(found.size, `${where} ${key}`);
      }
      return Buffer.concat(await Array.fromAsync(piecesOf(key, found)));
    },
    open: async (key, offset) => piecesOf(key, await begin(key, offset)),
    async stat(key) {
      const object = objectOf(key);
      return inStore(key, async () => {
        try {
          const info = await retrying(policy, () => client.statObject(bucketName, object));
          return { size: info.size, modified: info.lastModified };
        } catch (error) {
          if (isMissing(error)) return undefined;
          throw error;
        }
      });
    },
    put: (key, bytes) => put(key, (object) => uploadBytes(bucket, object, Buffer.from(bytes))),
    putFile: (key, path) =>
      put(key, async (object) => {
        await using file = await open(path);
        return await uploadFile(bucket, object, file);
      }),
    async remove(key) {
      const object = objectOf(key);
      await inStore(key, () => retrying(policy, () => client.removeObject(bucketName, object)));
    },
    async *list(below, after) {
      checkPrefix(below);
      const retry = createRetry(policy);
      let last = after ? prefix + after : '';
      for (let position: ListPosition = { after: last }; ;) {
        try {
          const page = await listPage(bucket, prefix + below, position);
          retry.progress();
          for (const found of page.keys) {
            last = found;
            yield found.slice(prefix.length);
          }
          if (!page.next) return;
          position = page.next;
        } catch (error) {
          await retry.after(error).catch((final: unknown) => {
            throw storeError(final, `${where} ${below}`);
          });
          position = { after: last };
        }
      }
    },
  };
}
