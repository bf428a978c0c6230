import { open, stat } from 'node:fs/promises';
import { Client, S3Error } from 'minio';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { S3Access } from './credentials.ts';
import { MAX_DOCUMENT_SIZE, type Store } from './store.ts';

/** Objects up to this size go up in one request, larger ones in parts of it, which are held in memory. */
const PART_SIZE = 16 * 1024 ** 2;
/** Uploads that were begun so long ago were left by a process that is gone. In milliseconds. */
const STALE_UPLOAD = 24 * 3600 * 1000;

/**
 * A store in a bucket of an S3 server, below `prefix` ('' or ending with `/`). Single parts go up by one request
 * each, so that neither the client's buffers nor its error handling of streams matter.
 *
 * @throws PanamaxError `not-found` for a missing bucket, `io` where the server does not answer as it should
 */
export async function openS3Store(access: S3Access, bucket: string, prefix: string): Promise<Store> {
  const { endpoint, region, accessKey, secretKey } = access;
  const client = new Client({
    endPoint: endpoint.hostname,
    port: Number(endpoint.port) || (endpoint.protocol === 'https:' ? 443 : 80),
    useSSL: endpoint.protocol === 'https:',
    region,
    accessKey,
    secretKey,
  });
  const where = `s3://${bucket}/${prefix} at ${endpoint.host}`;

  async function inStore<T>(key: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw storeError(error, `${where} ${key}`);
    }
  }

  async function size(key: string): Promise<number | undefined> {
    try {
      return (await client.statObject(bucket, prefix + key)).size;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw storeError(error, `${where} ${key}`);
    }
  }

  async function putParts(key: string, path: string): Promise<void> {
    await using file = await open(path);
    const upload = await client.initiateNewMultipartUpload(bucket, prefix + key, {});
    try {
      const parts: { part: number; etag: string }[] = [];
      const buffer = Buffer.allocUnsafe(PART_SIZE);
      for (let offset = 0; ;) {
        const { bytesRead } = await file.read(buffer, 0, PART_SIZE, offset);
        if (bytesRead === 0) break;
        offset += bytesRead;
        const { etag, part } = await client.uploadPart(
          {
            bucketName: bucket,
            objectName: prefix + key,
            uploadID: upload,
            partNumber: parts.length + 1,
            headers: {},
          },
          buffer.subarray(0, bytesRead),
        );
        parts.push({ etag, part });
      }
      await client.completeMultipartUpload(bucket, prefix + key, upload, parts);
    } catch (error) {
      await client.abortMultipartUpload(bucket, prefix + key, upload).catch(() => {});
      throw error;
    }
  }

  async function checkStored(key: string, expected: number): Promise<void> {
    const found = await size(key);
    if (found === expected) return;
    throw new PanamaxError('io', 'object is not there as it was put', {
      expected: `${expected} bytes`,
      found: found === undefined ? 'none' : `${found} bytes`,
      where: `${where} ${key}`,
    });
  }

  await inStore('', async () => {
    if (!(await client.bucketExists(bucket)))
      throw new PanamaxError('not-found', 'no such bucket', { where });
    for await (const upload of client.listIncompleteUploads(bucket, prefix, true)) {
      const { key, uploadId, initiated } = upload as { key: string; uploadId: string; initiated: Date };
      if (Date.now() - new Date(initiated).getTime() > STALE_UPLOAD) {
        await client.abortMultipartUpload(bucket, key, uploadId);
      }
    }
  });

  return {
    where,
    async get(key) {
      const stored = await size(key);
      if (stored === undefined) return undefined;
      if (stored > MAX_DOCUMENT_SIZE) {
        throw new PanamaxError('limit', 'document is too large', {
          expected: `at most ${MAX_DOCUMENT_SIZE} bytes`,
          found: stored,
          where: `${where} ${key}`,
        });
      }
      return inStore(key, async () => {
        const pieces: Uint8Array[] = [];
        for await (const piece of await client.getObject(bucket, prefix + key)) pieces.push(piece as Buffer);
        const bytes = Buffer.concat(pieces);
        if (bytes.length === stored) return bytes;
        throw new PanamaxError('io', 'object came in short', {
          expected: stored,
          found: bytes.length,
          where: key,
        });
      });
    },
    open: (key) => inStore(key, async () => client.getObject(bucket, prefix + key)),
    async stat(key) {
      const stored = await size(key);
      return stored === undefined ? undefined : { size: stored };
    },
    put: (key, bytes) =>
      inStore(key, async () => {
        await client.putObject(bucket, prefix + key, Buffer.from(bytes), bytes.length);
        await checkStored(key, bytes.length);
      }),
    putFile: (key, path) =>
      inStore(key, async () => {
        const { size: length } = await stat(path);
        if (length > PART_SIZE) await putParts(key, path);
        else {
          await using file = await open(path);
          await client.putObject(bucket, prefix + key, await file.readFile(), length);
        }
        await checkStored(key, length);
      }),
    remove: (key) => inStore(key, () => client.removeObject(bucket, prefix + key)),
    async *list(below) {
      try {
        for await (const item of client.listObjectsV2(bucket, prefix + below, true)) {
          const { name } = item as { name?: string };
          if (name !== undefined) yield name.slice(prefix.length);
        }
      } catch (error) {
        throw storeError(error, `${where} ${below}`);
      }
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof S3Error && (error.code === 'NotFound' || error.code === 'NoSuchKey');
}

/** What goes wrong on the way to a server or in it may go well later: `io`. */
function storeError(error: unknown, where: string): PanamaxError {
  if (isMissing(error)) return new PanamaxError('not-found', 'no such object', { where }, { cause: error });
  const known = toPanamaxError(error, where);
  return known.kind === 'internal'
    ? new PanamaxError('io', known.message, { where }, { cause: error })
    : known;
}
