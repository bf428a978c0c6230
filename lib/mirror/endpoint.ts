import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { provenBlob } from '../compression/recompress.ts';
import type { Digest } from '../digest.ts';
import { printable } from '../errors.ts';
import { listReferrersOf, listTags, type Listing } from './listings.ts';
import { CHALLENGE } from './access.ts';
import type { Mirror } from './mirror.ts';
import { credentialsOf, type CheckPermission } from './permission.ts';
import { parseRange } from './range.ts';
import { Refusal, refusalFor } from './refusal.ts';
import { parseRoute, type Route } from './route.ts';
import { chooseUpstream, type Place, type Upstream } from './upstream.ts';

/** Codes for what does not exist upstream (distribution-spec, "Error Codes"). */
const UNKNOWN: Readonly<Record<Route['kind'], string>> = {
  base: 'UNSUPPORTED',
  manifest: 'MANIFEST_UNKNOWN',
  blob: 'BLOB_UNKNOWN',
  tags: 'NAME_UNKNOWN',
  referrers: 'MANIFEST_UNKNOWN',
};

/**
 * The pull half of the distribution spec over a mirror.
 *
 * @param preset upstream of requests that name none
 * @param checkPermission of clients; undefined if all may pull
 */
export function createEndpoint(
  mirror: Mirror,
  preset: Upstream | undefined,
  checkPermission?: CheckPermission,
): RequestListener {
  const { upstreams, log } = mirror.context;
  return (request, response) => {
    response.setHeader('Docker-Distribution-API-Version', 'registry/2.0');
    let unknown = 'UNSUPPORTED';
    const answer = async () => {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD');
        throw new Refusal(405, 'UNSUPPORTED', 'a mirror is only read');
      }
      const route = parseRoute(request.url ?? '');
      if (!route) throw new Refusal(404, 'UNSUPPORTED', 'no such address');
      unknown = UNKNOWN[route.kind];
      const { authorization } = request.headers;
      if (route.kind === 'base') {
        // clients that see no challenge here send no credentials later
        if (checkPermission) credentialsOf(authorization);
        return sendDocument(request, response, 'application/json', '{}');
      }
      const place = chooseUpstream(upstreams, preset, route.ns, route.path);
      if (!place) throw new Refusal(404, 'NAME_UNKNOWN', 'not a repository of an upstream of this mirror');
      await checkPermission?.(authorization, place, pathOf(route));
      await answerRoute(mirror, place, route, request, response);
    };
    answer().catch((error: unknown) => {
      const refusal = refusalFor(error, unknown);
      const { status, code, message } = refusal;
      if (status === 401) response.setHeader('www-authenticate', CHALLENGE);
      const facts = { url: printable(request.url ?? ''), status, reason: message };
      if (response.headersSent) {
        // the client sees a transfer that breaks, and asks for the rest
        response.destroy();
        if (!isGone(error)) log.warn(facts, 'a transfer broke');
        return;
      }
      if (status >= 500) log.warn(facts, 'a request failed');
      const document = JSON.stringify({ errors: [{ code, message: printable(message) }] });
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(request.method === 'HEAD' ? undefined : document);
    });
  };
}

async function answerRoute(
  mirror: Mirror,
  place: Place,
  route: Exclude<Route, { kind: 'base' }>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { context } = mirror;
  if (route.kind === 'manifest') {
    const isHead = request.method === 'HEAD';
    const found = await (isHead ? mirror.findManifest(place, route) : mirror.getManifest(place, route));
    nameContent(response, found.digest);
    sendDocument(request, response, found.mediaType, found.bytes);
  } else if (route.kind === 'blob') {
    await sendBlob(mirror, place, route.digest, request, response);
  } else if (route.kind === 'tags') {
    sendListing(request, response, await listTags(place, route, context));
  } else {
    const { digest, artifactType } = route;
    sendListing(request, response, await listReferrersOf(place, digest, artifactType, context));
  }
}

/** The path of the upstream that a client must be able to read. */
function pathOf(route: Exclude<Route, { kind: 'base' }>): string {
  if (route.kind === 'tags') return 'tags/list?n=1';
  if (route.kind === 'blob') return `blobs/${route.digest}`;
  return `manifests/${'tag' in route ? route.tag : route.digest}`;
}

/** Sends the headers at once, since the size is known; the bytes follow as they arrive. */
async function sendBlob(
  mirror: Mirror,
  place: Place,
  digest: Digest,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const blob = await mirror.findBlob(place, digest);
  const { size } = blob;
  const tag = nameContent(response, digest);
  response.setHeader('accept-ranges', 'bytes');
  const condition = request.headers['if-range'];
  const isSame = condition === undefined || condition === tag;
  const isHead = request.method === 'HEAD';
  const range = isSame && !isHead ? parseRange(request.headers.range, size) : undefined;
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${size}`, 'content-length': 0 }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: size };
  response.writeHead(range ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': end - start,
    ...(range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
  });
  if (isHead) return void response.end();
  response.flushHeaders();
  const bytes = mirror.readBlob(place, blob, start);
  // the last piece is held back until the digest of all has been compared
  const sent = range ? firstBytes(bytes, end - start) : provenBlob(bytes, blob);
  await pipeline(sent, response);
}

async function* firstBytes(pieces: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const piece of pieces) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
}

/** @returns the entity tag */
function nameContent(response: ServerResponse, digest: Digest): string {
  response.setHeader('docker-content-digest', digest);
  response.setHeader('etag', `"${digest}"`);
  return `"${digest}"`;
}

function sendListing(
  request: IncomingMessage,
  response: ServerResponse,
  { mediaType, document, headers }: Listing,
): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  sendDocument(request, response, mediaType, JSON.stringify(document));
}

function sendDocument(
  request: IncomingMessage,
  response: ServerResponse,
  mediaType: string,
  document: string | Buffer,
): void {
  const bytes = Buffer.from(document);
  response.writeHead(200, { 'content-type': mediaType, 'content-length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/** Whether the client has closed the connection. */
function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
}
