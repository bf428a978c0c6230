import type { IncomingMessage } from 'node:http';
import { PanamaxError } from '../../errors.ts';
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
export async function download(
  { client, name, where, policy }: Bucket,
  key: string,
  start = 0,
): Promise<Download> {
  const openAt = (offset: number) => client.getPartialObject(name, key, offset) as Promise<IncomingMessage>;
  const first = await retrying(policy, () => openAt(start));
  const { etag } = first.headers;
  const size = start + Number(first.headers['content-length']);
  if (!Number.isSafeInteger(size)) {
    first.destroy();
    throw new PanamaxError('io', 'object of unknown size', {
      found: first.headers['content-length'] ?? 'none',
      where: `${where} ${key}`,
    });
  }

  async function* read(): AsyncGenerator<Uint8Array, void, void> {
    let offset = start;
    let response: IncomingMessage | undefined = first;
    const retry = createRetry(policy);
    try {
      while (offset < size) {
        try {
          response ??= await openAt(offset);
          checkSame(response);
          for await (const piece of response) {
            offset += (piece as Buffer).length;
            if (offset > size) throw tooMuch(offset);
            retry.progress();
            yield piece as Buffer;
          }
          if (offset < size) throw new TransferError(`object ended after ${offset} of ${size} bytes`);
        } catch (error) {
          response?.destroy();
          response = undefined;
          await retry.after(error);
        }
      }
    } finally {
      response?.destroy();
    }
  }

  function checkSame({ headers }: IncomingMessage): void {
    if (headers.etag === etag) return;
    throw new PanamaxError('io', 'object was replaced while it was read', {
      expected: etag ?? 'none',
      found: headers.etag ?? 'none',
      where: `${where} ${key}`,
    });
  }

  function tooMuch(found: number): PanamaxError {
    return new PanamaxError('io', 'object is longer than it was', {
      expected: size,
      found,
      where: `${where} ${key}`,
    });
  }

  return { size, bytes: read(), close: () => void first.destroy() };
}
