import type { IncomingMessage } from 'node:http';
import { PanamaxError } from '../../errors.ts';
import { requestContent, type Content } from '../../runtime/http/content.ts';
import { createRetry, retrying, TransferError } from '../../runtime/http/retry.ts';
import type { Bucket } from './s3bucket.ts';

export interface Download {
  readonly size: number;
  /** The object from the offset to its end. A broken transfer is resumed. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Closes the connection. Needed only when `bytes` is not read. */
  close(): void;
}

/** Starts to read an object at an offset within it. @throws S3Error, PanamaxError `io`, or a network error */
export async function download(bucket: Bucket, key: string, start = 0): Promise<Download> {
  const { client, name, policy } = bucket;
  const where = `${bucket.where} ${key}`;
  const request = (offset: number) => client.getPartialObject(name, key, offset) as Promise<IncomingMessage>;
  const openAt = (offset: number) => requestContent(request, offset, where);

  const { content: first, size } = await retrying(policy, async () => {
    const content = await openAt(start);
    try {
      return { content, size: content.size ?? (await statSize(bucket, key, content.headers.etag)) };
    } catch (error) {
      content.close();
      throw error;
    }
  });
  const { etag } = first.headers;

  async function* read(): AsyncGenerator<Uint8Array, void, void> {
    let offset = start;
    let content: Content | undefined = first;
    const retry = createRetry(policy);
    try {
      while (offset < size) {
        try {
          content ??= await openAt(offset);
          checkSame(content);
          for await (const piece of content.bytes) {
            offset += piece.length;
            if (offset > size) throw tooMuch(offset);
            retry.progress();
            yield piece;
          }
          if (offset < size) throw new TransferError(`object ended after ${offset} of ${size} bytes`);
        } catch (error) {
          content?.close();
          content = undefined;
          await retry.after(error);
        }
      }
    } finally {
      content?.close();
    }
  }

  function checkSame({ headers }: Content): void {
    if (headers.etag === etag) return;
    throw new PanamaxError('io', 'object was replaced while it was read', {
      expected: etag ?? 'none',
      found: headers.etag ?? 'none',
      where,
    });
  }

  function tooMuch(found: number): PanamaxError {
    return new PanamaxError('io', 'object is longer than it was', {
      expected: size,
      found,
      where,
    });
  }

  return { size, bytes: read(), close: () => first.close() };
}

/**
 * The size of an object whose answer does not tell it: some servers send objects in chunks (RFC 9112, 7.1) without a
 * length.
 */
async function statSize({ client, name, where }: Bucket, key: string, etag?: string): Promise<number> {
  const info = await client.statObject(name, key);
  if (!Number.isSafeInteger(info.size)) {
    throw new PanamaxError('io', 'object of unknown size', {
      expected: 'a Content-Length',
      where: `${where} ${key}`,
    });
  }
  if (etag !== undefined && bare(info.etag) !== bare(etag)) throw new TransferError('object was replaced');
  return info.size;
}

/** An ETag without the mark of a weak one and without quotes. */
function bare(etag: string): string {
  return etag.replace(/^W\//, '').replace(/^"|"$/g, '');
}
