import { homedir } from 'node:os';
import { join } from 'node:path';
import { PanamaxError } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { createEndpoint } from '../../lib/mirror/endpoint.ts';
import { openMirror } from '../../lib/mirror/mirror.ts';
import { parseUpstream, type Upstream } from '../../lib/mirror/upstream.ts';
import { limitMemory } from '../../lib/runtime/footprint.ts';
import { openStoreReader } from '../../lib/store/objects/open.ts';
import { serve } from '../../lib/web/server.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { readTrust, SITE_OPTIONS, STORE_OPTIONS, TRUST_OPTIONS } from '../options/session.ts';

const DEFAULT_LISTEN = '127.0.0.1:5600';

export const mirrorCommand: Command = {
  summary:
    'Serves the images of registries at a site, from patches where it can. Serves private ones to all who reach it.',
  operands: [],
  options: {
    upstream: {
      type: 'string',
      multiple: true,
      value: 'HOST[=URL]',
      required: true,
      env: true,
      help: 'a registry to mirror, as image names have it, and the address to ask if it differs; the first is the default',
    },
    store: {
      type: 'string',
      value: 'STORE',
      env: true,
      help: 'patches: http[s]://HOST/PATH, s3://BUCKET[/PREFIX] or a directory (default: patches beside the images)',
    },
    listen: {
      type: 'string',
      multiple: true,
      value: '[HOST:]PORT[=UPSTREAM]',
      env: true,
      help: `address to serve on, and its default upstream (default: ${DEFAULT_LISTEN})`,
    },
    'allow-host': {
      type: 'string',
      multiple: true,
      value: 'HOST',
      env: true,
      help: 'host name that requests may use, in addition to the address listened on',
    },
    state: {
      type: 'string',
      value: 'DIR',
      env: true,
      help: 'keeps blobs, patches in transfer and accepted names (default: below XDG_STATE_HOME)',
    },
    ...pick(SITE_OPTIONS, 'verify-key'),
    ...TRUST_OPTIONS,
    'log-level': { ...STORE_OPTIONS['log-level']!, default: 'info' },
    ...REGISTRY_OPTIONS,
    ...pick(COMMON, 'platform', 'max-image-size', 'scratch', 'help'),
  },
  async run(args, signal) {
    limitMemory();
    const upstreams = args.list('upstream').map(parseUpstream);
    const listens = args.list('listen').length > 0 ? args.list('listen') : [DEFAULT_LISTEN];
    const listeners = listens.map((text) => parseListen(text, upstreams));
    const log = createLog(args.text('log-level')!);
    const store = args.text('store');
    const state = args.text('state') ?? stateDirectory();
    const trust = await readTrust(args);
    const mirror = await openMirror({
      upstreams,
      openStore: store === undefined ? undefined : () => openStoreReader(store, signal),
      state,
      scratch: args.text('scratch') ?? join(state, 'scratch'),
      trust,
      ...args.platform,
      limits: args.limits,
      log,
      signal,
    });
    const names = args.list('allow-host');
    await using stack = new AsyncDisposableStack();
    for (const { host, port, preset } of listeners) {
      const listener = stack.use(await serve({ host, port, names }, createEndpoint(mirror, preset)));
      log.info({ host, port: listener.port, upstream: preset.host }, 'listening');
    }
    await aborted(signal);
  },
};

function stateDirectory(): string {
  return join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'panamax-mirror');
}

/** Parses an address with an upstream; by default 127.0.0.1 and the first upstream. @throws PanamaxError `usage` */
function parseListen(text: string, upstreams: readonly Upstream[]) {
  const [, host = '127.0.0.1', digits, name] = /^(?:(.+?):)?(\d{1,5})(?:=(.+))?$/.exec(text) ?? [];
  const preset = name === undefined ? upstreams[0] : upstreams.find((known) => known.host === name);
  const port = Number(digits);
  if (preset && port <= 65_535) return { host: host.replace(/^\[|\]$/g, ''), port, preset };
  const expected = '[HOST:]PORT[=UPSTREAM], with one of --upstream';
  throw new PanamaxError('usage', '--listen', { expected, found: text });
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await promise;
}
