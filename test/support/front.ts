/** An HTTP server in front of a real registry that asks for tokens, redirects and refuses, as other registries do. */
import { once } from 'node:events';
import {
  createServer,
  request,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { atEnd, type Scope } from './scope.ts';

export interface Front {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** All requests so far: method, path, and some headers. */
  readonly seen: readonly Seen[];
  /** Highest number of requests at the same time so far. */
  readonly mostConnections: number;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** May change the request's `url`. @returns whether it has answered; else the request goes to the registry */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Changes the headers of the registry's responses. */
export type Rewrite = (request: IncomingMessage, headers: OutgoingHttpHeaders) => OutgoingHttpHeaders;

export async function startFront(
  scope: Scope,
  registry: { port: number },
  answer: Answer,
  rewrite: Rewrite = (_, found) => found,
): Promise<Front> {
  const seen: Seen[] = [];
  let [connections, mostConnections] = [0, 0];
  const server = createServer((incoming, response) => {
    const { method = '', url = '', headers } = incoming;
    const { authorization, range } = headers;
    seen.push({ method, path: url, authorization, range });
    if (answer(incoming, response)) return;
    // the registry behind the front takes no credentials; an S3 server needs the signature
    const { authorization: _, ...others } = headers;
    const passed = authorization?.startsWith('AWS4-') ? headers : others;
    const sent = request(
      { host: '127.0.0.1', port: registry.port, method, path: incoming.url, headers: passed },
      (found) => {
        response.writeHead(found.statusCode ?? 500, rewrite(incoming, found.headers));
        found.pipe(response);
      },
    );
    sent.on('error', () => response.destroy());
    incoming.pipe(sent);
  });
  server.on('connection', (socket) => {
    mostConnections = Math.max(mostConnections, ++connections);
    socket.once('close', () => connections--);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(scope, async () => {
    server.close();
    server.closeAllConnections();
  });
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get mostConnections() {
      return mostConnections;
    },
  };
}
