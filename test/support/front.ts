/** An HTTP server in front of a real registry that asks for tokens, redirects and refuses, as other registries do. */
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
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

/** @returns true if it has answered; otherwise the request goes to the registry */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

export async function startFront(scope: Scope, registry: { port: number }, answer: Answer): Promise<Front> {
  const seen: Seen[] = [];
  let [connections, mostConnections] = [0, 0];
  const server = createServer((incoming, response) => {
    const { method = '', url = '', headers } = incoming;
    const { authorization, range } = headers;
    seen.push({ method, path: url, authorization, range });
    if (answer(incoming, response)) return;
    const { authorization: _, ...others } = headers;
    const sent = request(
      { host: '127.0.0.1', port: registry.port, method, path: url, headers: others },
      (found) => {
        response.writeHead(found.statusCode ?? 500, found.headers);
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
