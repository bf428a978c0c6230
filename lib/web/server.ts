import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { PanamaxError } from '../errors.ts';
import { hostCheck } from './host.ts';

export interface Page {
  readonly type: string;
  text(): Promise<string>;
}

/** Port 0 selects a free port. */
export interface Listen {
  readonly host: string;
  readonly port: number;
  /** Further host names that requests may name, see `hostCheck`. */
  readonly names?: readonly string[];
  /** Certificate chain and private key (PEM); without them the server speaks plain HTTP. */
  readonly tls?: TlsFiles | undefined;
}

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Certificates that sign those of clients; with it, a client needs one. */
  readonly ca?: Buffer;
}

export interface LivenessOptions {
  readonly listen: Listen;
  /** By path. A page that throws or takes too long is answered with status 503. */
  readonly pages: Readonly<Record<string, Page>>;
}

export interface Listener extends AsyncDisposable {
  readonly port: number;
}

/** Time limit of a page, in milliseconds. */
const PAGE_TIMEOUT = 3000;

/** Serves health checks and metrics to an orchestrator. The pages hold no secrets; requests have no effect. */
export async function serveLiveness({ listen, pages }: LivenessOptions): Promise<Listener> {
  return serve(
    listen,
    servePages(pages, (_, response) =>
      response.writeHead(404, { 'content-type': 'text/plain' }).end('no such page\n'),
    ),
  );
}

/** Answers the requests for pages. @param others gets all other requests */
export function servePages(pages: LivenessOptions['pages'], others: RequestListener): RequestListener {
  return (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0]!;
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    if (!page) return others(request, response);
    const answer = (status: number, type: string, text: string) =>
      response.writeHead(status, { 'content-type': type }).end(text);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answer(405, 'text/plain', 'GET only\n');
      return;
    }
    within(page.text(), PAGE_TIMEOUT).then(
      (text) => answer(200, page.type, text),
      (error: unknown) => answer(503, 'text/plain', `${error instanceof Error ? error.message : 'failed'}\n`),
    );
  };
}

/**
 * Starts an HTTP server. Requests for other hosts are answered with status 421 (RFC 9110, section 15.5.20).
 *
 * @throws PanamaxError `io` if the port is taken, or may not be used
 */
export async function serve(
  { host, port, names, tls }: Listen,
  onRequest: RequestListener,
): Promise<Listener> {
  const isOwn = hostCheck(host, names);
  const onChecked: RequestListener = (request, response) => {
    if (isOwn(request)) return onRequest(request, response);
    response.writeHead(421, { 'content-type': 'text/plain' }).end('this server has another name\n');
  };
  const server = tls
    ? createSecureServer({ ...tls, requestCert: tls.ca !== undefined }, onChecked)
    : createServer(onChecked);
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { message } = error as Error;
    throw new PanamaxError('io', message, { where: `${host}:${port}` }, { cause: error });
  }
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function within<T>(promise: Promise<T>, time: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer in ${time / 1000} s`)), time);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
