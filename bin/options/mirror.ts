import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { parseUpstream, type Upstream } from '../../lib/mirror/upstream.ts';
import type { TlsFiles } from '../../lib/web/server.ts';
import type { Arguments, Options } from '../command.ts';

export const DEFAULT_LISTEN = '127.0.0.1:5600';

/** Options of a mirror. */
export const MIRROR_OPTIONS: Options = {
  upstream: {
    type: 'string',
    multiple: true,
    takesOne: true,
    value: 'HOST[=URL]',
    env: true,
    help: 'a registry to mirror, as image names have it, and the address to ask if it differs; the first is the default',
  },
  store: {
    type: 'string',
    value: 'STORE',
    env: true,
    help: 'patches: http[s]://HOST/PATH, s3://BUCKET[/PREFIX], a directory or a bundle (default: patches beside the images)',
  },
  listen: {
    type: 'string',
    multiple: true,
    takesOne: true,
    value: '[HOST:]PORT[=UPSTREAM]',
    env: true,
    help: `address to serve on, and its default upstream (default: ${DEFAULT_LISTEN})`,
  },
  'allow-host': {
    type: 'string',
    multiple: true,
    takesOne: true,
    value: 'HOST',
    env: true,
    help: 'host name that requests may use, in addition to the address listened on',
  },
  'tls-cert': {
    type: 'string',
    value: 'FILE',
    env: true,
    help: 'serve TLS with this certificate chain (PEM)',
  },
  'tls-key': { type: 'string', value: 'FILE', env: true, help: 'private key of --tls-cert (PEM)' },
  'client-ca': {
    type: 'string',
    value: 'FILE',
    env: true,
    help: 'serve only clients whose certificates these certificates have signed (PEM)',
  },
  accounts: {
    type: 'string',
    value: 'FILE',
    env: true,
    help: 'serve only these users, USER:PASSWORD on each line (default: serve everybody who reaches the address)',
  },
  'ask-upstream': {
    type: 'boolean',
    env: true,
    help: 'serve only clients whose own user and password the registry accepts for the repository',
  },
  state: {
    type: 'string',
    value: 'DIR',
    env: true,
    help: 'keeps blobs, patches in transfer and accepted names (default: below XDG_STATE_HOME)',
  },
  quota: {
    type: 'string',
    value: 'SIZE',
    env: true,
    help: 'remove images that nobody asks for above this size, never the newest of a repository (default: keep all)',
  },
  'limit-rate': {
    type: 'string',
    value: 'SIZE',
    env: true,
    help: 'bytes per second of blobs and patches over the link, such as 100K (default: no limit)',
  },
  'answer-time': {
    type: 'string',
    value: 'SECONDS',
    env: true,
    help: 'time for an answer of the store or a registry, 1 to 8: a satellite link may need 8',
    default: '3',
  },
  budget: {
    type: 'string',
    value: 'SIZE',
    env: true,
    help: 'bytes of blobs and patches per month; then only held images are served (default: no limit)',
  },
  'max-pass': {
    type: 'string',
    value: 'SIZE',
    env: true,
    help: 'refuse images without a patch of which more bytes would come from the registry (default: no limit)',
  },
  follow: {
    type: 'string',
    value: 'FILE',
    env: true,
    help: 'bring the images of these names, one on each line, before an engine asks; looks every five minutes',
  },
  window: {
    type: 'string',
    value: 'HH:MM-HH:MM',
    env: true,
    help: 'local time in which --follow brings images (default: always)',
  },
  source: {
    type: 'string',
    short: 's',
    multiple: true,
    takesOne: true,
    value: 'IMAGE',
    env: true,
    help: 'an image at the site to start from: a layout, an archive, an image of an engine',
  },
  mirror: {
    type: 'string',
    value: 'URL',
    help: 'of a running mirror, for config and prefetch',
    default: `http://${DEFAULT_LISTEN}`,
  },
  'no-fallback': {
    type: 'boolean',
    help: 'config: the engine never asks the registry itself, as far as it can be told so',
  },
};

/** @throws PanamaxError `usage` */
export function upstreamsOf(args: Arguments): Upstream[] {
  const upstreams = args.list('upstream').map(parseUpstream);
  if (upstreams.length > 0) return upstreams;
  throw new PanamaxError('usage', 'no registry to mirror', { expected: '--upstream HOST[=URL]' });
}

/** @throws PanamaxError `usage` */
export function mirrorUrl(args: Arguments): URL {
  const text = args.text('mirror')!;
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new PanamaxError('usage', '--mirror', { expected: 'http[s]://HOST[:PORT]', found: text });
}

/** @throws PanamaxError `usage`, `not-found`, `io` */
export async function readTls(args: Arguments): Promise<TlsFiles | undefined> {
  const [cert, key, ca] = ['tls-cert', 'tls-key', 'client-ca'].map((name) => args.text(name));
  if (cert !== undefined && key !== undefined) {
    return { cert: await read(cert), key: await read(key), ...(ca !== undefined && { ca: await read(ca) }) };
  }
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  throw new PanamaxError('usage', 'TLS without a certificate or its key', {
    expected: '--tls-cert FILE and --tls-key FILE',
  });
}

/** Parses an address with an upstream; by default 127.0.0.1 and the first upstream. @throws PanamaxError `usage` */
export function parseListen(text: string, upstreams: readonly Upstream[]) {
  const [, host = '127.0.0.1', digits, name] = /^(?:(.+?):)?(\d{1,5})(?:=(.+))?$/.exec(text) ?? [];
  const preset = name === undefined ? upstreams[0] : upstreams.find((known) => known.host === name);
  const port = Number(digits);
  if (preset && port <= 65_535) return { host: host.replace(/^\[|\]$/g, ''), port, preset };
  const expected = '[HOST:]PORT[=UPSTREAM], with one of --upstream';
  throw new PanamaxError('usage', '--listen', { expected, found: text });
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw toPanamaxError(error, path);
  }
}
