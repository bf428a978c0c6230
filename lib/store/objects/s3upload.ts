import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { PanamaxError } from '../../errors.ts';
import { download } from './s3download.ts';
import { retrying } from '../../runtime/http/retry.ts';
import type { Bucket } from './s3bucket.ts';
import { hasCode, isMissing } from './s3errors.ts';
import { completeUpload, listUploads, startUpload } from './s3list.ts';

/** Objects up to this size are uploaded in one request, larger ones in parts of this size. A part is held in memory. */
const PART_SIZE = 16 * 1024 ** 2;

/** The process of an unfinished upload of this age is taken to be dead. In milliseconds. */
const STALE_UPLOAD = 24 * 3600 * 1000;

/** The content of an upload and the server's response. */
export interface Upload {
  readonly size: number;
  readonly md5: string;
  /** The ETag of most servers: MD5 of the content, or of the MD5s of its parts. */
  readonly expectedETag: string;
  /** Undefined when the response was lost. */
  readonly etag: string | undefined;
}

/** Uploads bytes in one request. */
export async function uploadBytes(
  { client, name, policy }: Bucket,
  key: string,
  bytes: Buffer,
): Promise<Upload> {
  const { etag } = await retrying(policy, () => client.putObject(name, key, bytes, bytes.length));
  const digest = md5(bytes).toString('hex');
  return { size: bytes.length, md5: digest, expectedETag: digest, etag };
}

/** Uploads a file. The object appears under its key when the upload is complete. */
export async function uploadFile(bucket: Bucket, key: string, file: FileHandle): Promise<Upload> {
  const { size } = await file.stat();
  if (size > PART_SIZE) return uploadParts(bucket, key, file);
  return uploadBytes(bucket, key, await readPart(file, Buffer.allocUnsafe(PART_SIZE), 0));
}

async function uploadParts(bucket: Bucket, key: string, file: FileHandle): Promise<Upload> {
  const { client, name, policy } = bucket;
  const uploadID = await retrying(policy, () => startUpload(bucket, key));
  try {
    const parts: { part: number; etag: string }[] = [];
    const whole = createHash('md5');
    const ofParts = createHash('md5');
    const buffer = Buffer.allocUnsafe(PART_SIZE);
    let size = 0;
    for (;;) {
      const bytes = await readPart(file, buffer, size);
      if (bytes.length === 0) break;
      size += bytes.length;
      whole.update(bytes);
      ofParts.update(md5(bytes));
      const target = { bucketName: name, objectName: key, uploadID, partNumber: parts.length + 1 };
      parts.push(await retrying(policy, () => client.uploadPart({ ...target, headers: {} }, bytes)));
    }
    const etag = await complete(bucket, key, uploadID, parts);
    const expectedETag = `${ofParts.digest('hex')}-${parts.length}`;
    return { size, md5: whole.digest('hex'), expectedETag, etag };
  } catch (error) {
    await client.abortMultipartUpload(name, key, uploadID).catch(() => {});
    throw error;
  }
}

async function complete(
  bucket: Bucket,
  key: string,
  uploadID: string,
  parts: { part: number; etag: string }[],
): Promise<string | undefined> {
  let isRepeated = false;
  return retrying(bucket.policy, async () => {
    try {
      return await completeUpload(bucket, key, uploadID, parts);
    } catch (error) {
      // the response to the first completion was lost: the upload is gone because it has become the object
      if (isRepeated && hasCode(error, 'NoSuchUpload')) return undefined;
      isRepeated = true;
      throw error;
    }
  });
}

/** Reads into the buffer and returns a view of it, which is shorter than the buffer only at the end of the file. */
async function readPart(file: FileHandle, buffer: Buffer, start: number): Promise<Buffer> {
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, start + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

/**
 * Checks an object after its upload, unless the server has answered with the digest of what was sent. An object that
 * another writer has put there since is not checked.
 *
 * @throws PanamaxError `io` for another size or content
 */
export async function verifyUpload(bucket: Bucket, key: string, upload: Upload): Promise<void> {
  const { size, md5: sent, expectedETag, etag } = upload;
  if (etag === expectedETag) return;
  const { client, name, where, policy } = bucket;
  // some servers show a new object late
  const patient = {
    ...policy,
    isTransient: (error: unknown) => isMissing(error) || policy.isTransient(error),
  };
  const found = await retrying(patient, () => client.statObject(name, key));
  if (found.size === size && found.etag === expectedETag) return;
  if (etag !== undefined && found.etag !== etag) return;
  // a server that encrypts objects may have other ETags
  if (found.size === size && (await digestOf(bucket, key)) === sent) return;
  throw new PanamaxError('io', 'object is not there as it was put', {
    expected: `${size} bytes, MD5 ${sent}`,
    found: `${found.size} bytes, ETag ${found.etag}`,
    where: `${where} ${key}`,
  });
}

/** Aborts stale uploads in parts: their parts are not listed but take up storage. */
export async function sweepUploads(bucket: Bucket, prefix: string): Promise<void> {
  const { client, name } = bucket;
  for await (const { key, id, initiated } of listUploads(bucket, prefix)) {
    if (Date.now() - initiated.getTime() > STALE_UPLOAD) await client.abortMultipartUpload(name, key, id);
  }
}

async function digestOf(bucket: Bucket, key: string): Promise<string> {
  const hash = createHash('md5');
  for await (const piece of (await download(bucket, key)).bytes) hash.update(piece);
  return hash.digest('hex');
}

function md5(bytes: Uint8Array): Buffer {
  return createHash('md5').update(bytes).digest();
}
