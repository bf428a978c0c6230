import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PanamaxError } from '../errors.ts';

export interface Page {
  readonly type: string;
  text(): Promise<string>;
}

/** Port 0 selects a free port. */
export interface Listen {
  readonly host: string;
  readonly port: number;
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
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0]!;
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    const answer = (status: number, type: string, text: string) =>
      response.writeHead(status, { 'content-type': type }).end(text);
    if (!page || (request.method !== 'GET' && request.method !== 'HEAD')) {
      answer(page ? 405 : 404, 'text/plain', `${page ? 'GET only' : 'no such page'}\n`);
      return;
    }
    within(page.text(), PAGE_TIMEOUT).then(
      (text) => answer(200, page.type, text),
      (error: unknown) => answer(503, 'text/plain', `${error instanceof Error ? error.message : 'failed'}\n`),
    );
  });
  return listenOn(server, listen);
}

/** @throws PanamaxError `io` if the port is taken, or may not be used */
export async function listenOn(server: Server, { host, port }: Listen): Promise<Listener> {
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
