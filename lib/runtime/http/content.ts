import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { pipeline, type Duplex } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { PanamaxError } from '../../errors.ts';
import { discard } from './client.ts';

/** The rest of an object, from an offset to its end. */
export interface Content {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Size of the whole object in bytes; undefined if the server does not tell it or has encoded the body. */
  readonly size: number | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Closes the connection. Needed only if `bytes` is not read to its end. */
  close(): void;
}

/** Codings that a body may have although the request refuses them (`accept-encoding: identity`). */
const DECODERS: ReadonlyMap<string, () => Duplex> = new Map<string, () => Duplex>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
]);

/**
 * Requests an object from an offset. If the server has encoded a part of it, the whole object is requested instead: the
 * offsets of such a part are those of the encoded bytes (RFC 9110, 14.1.2).
 *
 * @param request sends the request for the object from an offset; resolves with a response of status 200 or 206
 * @param where the object, for messages
 * @throws PanamaxError `io`, and what `request` throws
 */
export async function requestContent(
  request: (offset: number) => Promise<IncomingMessage>,
  offset: number,
  where: string,
): Promise<Content> {
  const response = await request(offset);
  if (response.statusCode !== 206 || encodingsOf(response).length === 0)
    return contentOf(response, offset, where);
  discard(response);
  return contentOf(await request(0), offset, where);
}

/** Reads an object from an offset out of a response, which may start earlier. @throws PanamaxError `io` */
export function contentOf(response: IncomingMessage, offset: number, where: string): Content {
  const { statusCode, headers } = response;
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)/.exec(headers['content-range'] ?? '') ?? [];
  const start = statusCode === 206 ? Number(from ?? Infinity) : 0;
  try {
    if (start > offset) {
      const found = headers['content-range'] ?? 'no content-range';
      throw new PanamaxError('io', 'not the range asked for', {
        expected: `bytes ${offset}-`,
        found,
        where,
      });
    }
    const bytes = skipBytes(readBody(response, where), offset - start);
    const length = headers['content-length'];
    const isEncoded = encodingsOf(response).length > 0;
    const size = length !== undefined && /^\d+$/.test(length) ? start + Number(length) : Number(total ?? NaN);
    const isKnown = !isEncoded && Number.isSafeInteger(size);
    return { bytes, size: isKnown ? size : undefined, headers, close: () => void response.destroy() };
  } catch (error) {
    discard(response);
    throw error;
  }
}

/**
 * The body of a response, decoded if the server has encoded it unasked.
 *
 * @throws PanamaxError `io` for an unknown coding and, while it is read, for damaged encoded bytes
 */
export function readBody(response: IncomingMessage, where: string): AsyncIterable<Uint8Array> {
  const [encoding, ...others] = encodingsOf(response);
  if (encoding === undefined) return response as AsyncIterable<Buffer>;
  const decoder = others.length === 0 ? DECODERS.get(encoding)?.() : undefined;
  if (!decoder) {
    throw new PanamaxError('io', `body in the encoding ${[encoding, ...others].join(', ')}`, {
      expected: 'no encoding, as asked for',
      where,
      isFinal: true,
    });
  }
  return decoded(response, decoder, encoding, where);
}

async function* decoded(
  response: IncomingMessage,
  decoder: Duplex,
  encoding: string,
  where: string,
): AsyncGenerator<Uint8Array> {
  try {
    // an error of the response reaches the reader through the decoder
    yield* pipeline(response, decoder, () => {}) as AsyncIterable<Buffer>;
  } catch (error) {
    // the body is there, so another attempt gets the same bytes
    if (!response.complete) throw error;
    const facts = { found: `encoding ${encoding}`, where };
    throw new PanamaxError('io', 'the body cannot be decoded', facts, { cause: error });
  }
}

/** `aws-chunked` is the coding of an S3 upload; some servers keep it as the object's although they have removed it. */
function encodingsOf({ headers }: IncomingMessage): string[] {
  const names = (headers['content-encoding'] ?? '').toLowerCase().split(',');
  return names.map((name) => name.trim()).filter((name) => !/^(identity|aws-chunked)?$/.test(name));
}

async function* skipBytes(content: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let skipped = 0;
  for await (const piece of content) {
    const rest = piece.subarray(Math.min(piece.length, count - skipped));
    skipped += piece.length - rest.length;
    if (rest.length > 0) yield rest;
  }
}
