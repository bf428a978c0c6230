/** A static web server over a directory: GET, and Range unless switched off. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { atEnd, type Scope } from './scope.ts';

export interface WebServer {
  readonly port: number;
  readonly url: string;
  /** Paths and requested ranges, in order. */
  readonly requests: { readonly path: string; readonly range: string | undefined }[];
}

export interface WebOptions {
  readonly ranges?: boolean;
  /** Required of clients, `USER:PASSWORD`. */
  readonly account?: string;
}

export async function startWeb(
  scope: Scope,
  directory: string,
  { ranges = true, account }: WebOptions = {},
): Promise<WebServer> {
  const requests: WebServer['requests'] = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const range = request.headers.range;
    requests.push({ path: pathname, range });
    const wanted = account && `Basic ${Buffer.from(account).toString('base64')}`;
    if (wanted && request.headers.authorization !== wanted) {
      response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
      return;
    }
    const path = join(directory, normalize(decodeURIComponent(pathname)));
    send(response, path, ranges ? range : undefined).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(scope, async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  return { port, url: `http://127.0.0.1:${port}`, requests };
}

async function send(response: ServerResponse, path: string, range: string | undefined): Promise<void> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) {
    response.writeHead(404, { 'content-type': 'text/html' }).end('<html>nothing here</html>');
    return;
  }
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
  if (start > 0 && start >= info.size) {
    response.writeHead(416, { 'content-range': `bytes */${info.size}` }).end();
    return;
  }
  response.writeHead(range === undefined ? 200 : 206, {
    'content-length': info.size - start,
    ...(range !== undefined && { 'content-range': `bytes ${start}-${info.size - 1}/${info.size}` }),
  });
  for await (const piece of createReadStream(path, { start })) {
    if (!response.write(piece)) await once(response, 'drain');
  }
  response.end();
}
