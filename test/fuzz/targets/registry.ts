/** Answers of a registry. An input is a list of HTTP responses, which a server sends to one request each. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { digestOf } from '../../../lib/digest.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openRepositoryImage } from '../../../lib/image/open.ts';
import { listReferrers } from '../../../lib/image/registry/referrers.ts';
import { openRepository } from '../../../lib/image/registry/registry.ts';
import { DEFAULT_ATTEMPTS } from '../../../lib/runtime/http/retry.ts';
import { atEnd, type Scope } from '../../support/scope.ts';
import type { FuzzTarget } from '../target.ts';

const LIMITS = { ...DEFAULT_LIMITS, maxDocumentSize: 1 << 18 };
const BETWEEN = '\n====\n';
const MOST_TAGS = 1000;

export async function open(scope: Scope): Promise<FuzzTarget> {
  // an answer of the wrong kind would be waited for
  Object.assign(DEFAULT_ATTEMPTS, { attempts: 2, delay: 1 });
  let answers: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () =>
      socket.end(answers.shift() ?? answer('{}', 'HTTP/1.1 404 Not Found'), 'latin1'),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(scope, () => server.close());
  const registry = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = { insecure: new Set([registry]), dockerConfig: '/nonexistent' };
  return {
    seeds: seeds(registry).map((parts) => Buffer.from(parts.join(BETWEEN), 'latin1')),
    kinds: ['bad-input', 'limit', 'not-found', 'io', 'usage'],
    words: [
      'Link: </v2/a/tags/list?last=b>; rel="next"\r\n',
      'Content-Encoding: gzip\r\n',
      'Transfer-Encoding: chunked\r\n',
      'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="x",service="y"\r\n\r\n',
      'HTTP/1.1 307 Temporary Redirect\r\nLocation: /v2/\r\n\r\n',
      'Content-Range: bytes 5-9/10\r\n',
      BETWEEN,
    ],
    async run(input) {
      // a long wait that the server asks for is granted
      const text = input.toString('latin1').replaceAll(/retry-after/gi, 'x');
      answers = text.slice(1).split(BETWEEN);
      const options = { limits: LIMITS, settings, signal: AbortSignal.timeout(10_000) };
      const repository = openRepository({ registry, repository: 'a' }, options);
      if (text[0] === 't') {
        let count = 0;
        for await (const tag of repository.listTags()) if (++count > MOST_TAGS || tag === '\0') break;
      } else if (text[0] === 'r') await listReferrers(repository, digestOf('subject'));
      else {
        const image = await openRepositoryImage(
          repository,
          'tag',
          { transport: 'docker', path: `${registry}/a` },
          options,
        );
        for (const layer of image.layers) for await (const piece of layer.tar()) void piece;
      }
    },
  };
}

function answer(body: string, status = 'HTTP/1.1 200 OK', headers = ''): string {
  return `${status}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n${headers}\r\n${body}`;
}

const type = (name: string) => `application/vnd.oci.image.${name}.v1+json`;
const blob = (mediaType: string, bytes: string) => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});
const tags = (names: string[]) => JSON.stringify({ name: 'a', tags: names });
const next = (path: string) => `Link: <${path}>; rel="next"\r\n`;

function seeds(registry: string): string[][] {
  const layer = 'layer';
  const config = JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: type('manifest'),
    config: blob(type('config'), config),
    layers: [blob(type('layer').replace('+json', '.tar'), layer)],
  });
  const platform = { os: 'linux', architecture: 'amd64' };
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: type('index'),
    manifests: [{ ...blob(type('manifest'), manifest), platform, artifactType: 'application/x' }],
  });
  return [
    ['t' + answer(tags(['1', '2']), undefined, next('/v2/a/tags/list?last=2&n=2')), answer(tags(['3']))],
    [
      't' + answer(tags(['1']), undefined, next(`http://${registry}/v2/a/tags/list?last=1`)),
      answer(tags([])),
    ],
    ['r' + answer(index)],
    ['r' + answer('{}', 'HTTP/1.1 404 Not Found'), answer(index)],
    ['i' + answer(manifest), answer(config), answer(layer)],
    ['i' + answer(index), answer(manifest), answer(config), answer(layer)],
  ];
}
