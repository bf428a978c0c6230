import type { IncomingMessage } from 'node:http';
import { PanamaxError } from '../../errors.ts';
import { TransferError } from '../../runtime/http/retry.ts';
import type { Bucket } from './s3bucket.ts';
import { elementsOf, escapeXml, textOf } from './s3xml.ts';

/**
 * Requests whose answers the minio client parses wrongly: it takes IDs and tokens of digits for numbers, and an error
 * in an answer of status 200, or an answer without an ETag, is a defect to it.
 */

/** In bytes. A page has at most 1000 keys of at most 1024 bytes, which are three times as long when encoded. */
const MAX_ANSWER = 16 * 1024 ** 2;

/** A page of a list of keys. */
export interface ListPage {
  readonly keys: readonly string[];
  /** Asks for the next page; undefined after the last one. */
  readonly next: ListPosition | undefined;
}

/** The place after a key, or the place that a server's token stands for. */
export interface ListPosition {
  readonly after: string;
  readonly token?: string;
}

/** An upload in parts that is neither complete nor aborted. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly id: string;
  readonly initiated: Date;
}

/** Reads a page of the keys that start with a prefix. @throws S3Error, PanamaxError `io`, or a network error */
export async function listPage(
  bucket: Bucket,
  prefix: string,
  { after, token }: ListPosition,
): Promise<ListPage> {
  const query = {
    'list-type': '2',
    'max-keys': '1000',
    prefix,
    'start-after': after,
    'continuation-token': token,
  };
  const xml = await requestXml(bucket, 'GET', { query: queryOf(query) }, 'ListBucketResult');
  const keys = elementsOf(xml, 'Contents').map((item) => decode(textOf(item, 'Key') ?? ''));
  if (textOf(xml, 'IsTruncated') !== 'true') return { keys, next: undefined };
  const next = textOf(xml, 'NextContinuationToken');
  const last = keys.at(-1);
  if (next !== undefined && next !== token) return { keys, next: { after, token: next } };
  if (next === undefined && last !== undefined && last !== after) return { keys, next: { after: last } };
  throw new PanamaxError('io', 'the list breaks off', {
    expected: 'a token of the next page',
    found: next === undefined ? 'none' : 'the token of this page',
    where: `${bucket.where} ${prefix}`,
    isFinal: true,
  });
}

/** Starts an upload in parts. @returns its ID */
export async function startUpload(bucket: Bucket, key: string): Promise<string> {
  const root = 'InitiateMultipartUploadResult';
  const xml = await requestXml(bucket, 'POST', { query: 'uploads', objectName: key }, root);
  const id = textOf(xml, 'UploadId');
  if (id !== undefined) return id;
  throw new PanamaxError('io', 'upload without an ID', { where: `${bucket.where} ${key}` });
}

/** Ends an upload in parts. @returns the object's ETag, if the server tells it */
export async function completeUpload(
  bucket: Bucket,
  key: string,
  id: string,
  parts: readonly { readonly part: number; readonly etag: string }[],
): Promise<string | undefined> {
  const items = parts.map(
    ({ part, etag }) => `<Part><PartNumber>${part}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`,
  );
  const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';
  const body = `<CompleteMultipartUpload xmlns="${namespace}">${items.join('')}</CompleteMultipartUpload>`;
  const options = { query: `uploadId=${escaped(id)}`, objectName: key, body };
  const xml = await requestXml(bucket, 'POST', options, 'CompleteMultipartUploadResult');
  return textOf(xml, 'ETag')?.replace(/^"|"$/g, '');
}

/** Lists the unfinished uploads of keys that start with a prefix, as far as the server tells them. */
export async function* listUploads(
  bucket: Bucket,
  prefix: string,
): AsyncGenerator<UnfinishedUpload, void, void> {
  let marker: {
    readonly 'key-marker'?: string | undefined;
    readonly 'upload-id-marker'?: string | undefined;
  } = {};
  for (;;) {
    const query = `uploads&${queryOf({ 'max-uploads': '1000', prefix, ...marker })}`;
    const xml = await requestXml(bucket, 'GET', { query }, 'ListMultipartUploadsResult');
    for (const item of elementsOf(xml, 'Upload')) {
      const [key, id] = [textOf(item, 'Key'), textOf(item, 'UploadId')];
      const initiated = new Date(textOf(item, 'Initiated') ?? NaN);
      if (key !== undefined && id !== undefined) yield { key: decode(key), id, initiated };
    }
    const last = marker['upload-id-marker'];
    marker = {
      'key-marker': mapped(textOf(xml, 'NextKeyMarker'), decode),
      'upload-id-marker': textOf(xml, 'NextUploadIdMarker'),
    };
    if (textOf(xml, 'IsTruncated') !== 'true' || !marker['key-marker']) return;
    if (last !== undefined && last === marker['upload-id-marker']) return;
  }
}

/** @throws TransferError for an error, or any other document, in an answer of status 200 */
async function requestXml(
  { client, name }: Bucket,
  method: string,
  options: { readonly query: string; readonly objectName?: string; readonly body?: string },
  root: string,
): Promise<string> {
  const { body = '', ...target } = options;
  const xml = await textOfBody(await client.makeRequestAsync({ method, bucketName: name, ...target }, body));
  if (elementsOf(xml, root).length > 0) return xml;
  const found = [textOf(xml, 'Code'), textOf(xml, 'Message')].filter(Boolean).join(': ');
  throw new TransferError(`answer without ${root}${found && `: ${found}`}`);
}

async function textOfBody(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MAX_ANSWER) throw new TransferError(`answer of over ${MAX_ANSWER} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  return Object.entries({ 'encoding-type': 'url', ...values })
    .filter(([, value]) => value)
    .map(([key, value]) => `${key}=${escaped(value)}`)
    .sort()
    .join('&');
}

/** As the signature of a request needs it (AWS Signature Version 4, "UriEncode"). */
function escaped(value: string): string {
  return encodeURIComponent(value).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Some servers do not encode keys although they are asked to. Keys of a store look the same in both forms. */
function decode(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

function mapped(value: string | undefined, map: (value: string) => string): string | undefined {
  return value === undefined ? undefined : map(value);
}
