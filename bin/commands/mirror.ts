import { homedir } from 'node:os';
import { join } from 'node:path';
import { PanamaxError } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { readAccounts, requireAccount } from '../../lib/mirror/access.ts';
import { createEndpoint } from '../../lib/mirror/endpoint.ts';
import { engineConfig, ENGINE_NAMES } from '../../lib/mirror/engineconfig.ts';
import { openMirror } from '../../lib/mirror/mirror.ts';
import { follow } from '../../lib/mirror/follow.ts';
import { pagesOf } from '../../lib/mirror/pages.ts';
import { prefetch } from '../../lib/mirror/prefetch.ts';
import { keepQuota } from '../../lib/mirror/quota.ts';
import { seedAll } from '../../lib/mirror/seed.ts';
import { parseWindow } from '../../lib/mirror/window.ts';
import { limitMemory } from '../../lib/runtime/footprint.ts';
import { openStoreReader } from '../../lib/store/objects/open.ts';
import { serve, servePages } from '../../lib/web/server.ts';
import { COMMON, pick, type Arguments, type Command } from '../command.ts';
import { formatSize, parseSize } from '../format.ts';
import {
  DEFAULT_LISTEN,
  MIRROR_OPTIONS,
  mirrorUrl,
  parseListen,
  readTls,
  upstreamsOf,
} from '../options/mirror.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, readTrust, SITE_OPTIONS, STORE_OPTIONS, TRUST_OPTIONS } from '../options/session.ts';

export const mirrorCommand: Command = {
  summary:
    'Serves images of registries to the engines of a site, by patches; to all who reach it, private ones too.',
  operands: ['[config ENGINE]', '[prefetch NAME...]'],
  options: {
    ...MIRROR_OPTIONS,
    ...pick(SITE_OPTIONS, 'verify-key'),
    ...TRUST_OPTIONS,
    'log-level': { ...STORE_OPTIONS['log-level']!, default: 'info' },
    ...REGISTRY_OPTIONS,
    scratch: {
      ...COMMON['scratch']!,
      help: 'directory for layers while they are needed (default: below --state)',
    },
    ...pick(COMMON, 'json', 'platform', 'max-image-size', 'max-expansion', 'help'),
  },
  async run(args, signal) {
    const [action, ...names] = args.operands;
    if (action === undefined) return serveMirror(args, signal);
    if (action === 'config' && names.length === 1) return printConfig(args, names[0]!);
    if (action === 'prefetch' && names.length > 0) return prefetchAll(args, names, signal);
    const expected = `config ${ENGINE_NAMES.join('|')}, prefetch NAME..., or neither`;
    throw new PanamaxError('usage', 'unknown action', { expected, found: args.operands.join(' ') });
  },
};

async function serveMirror(args: Arguments, signal: AbortSignal): Promise<void> {
  // look-ups of hosts that hang take half of the threads: files are read by the others
  process.env['UV_THREADPOOL_SIZE'] ??= '4';
  limitMemory();
  const upstreams = upstreamsOf(args);
  const listens = args.list('listen').length > 0 ? args.list('listen') : [DEFAULT_LISTEN];
  const listeners = listens.map((text) => parseListen(text, upstreams));
  const log = createLog(args.text('log-level')!);
  const store = args.text('store');
  const state = args.text('state') ?? stateDirectory();
  const window = args.text('window');
  const span = window === undefined ? undefined : parseWindow(window);
  const accounts = args.text('accounts');
  const isKnown = accounts === undefined ? undefined : await readAccounts(accounts);
  const tls = await readTls(args);
  const mirror = await openMirror({
    upstreams,
    openStore: store === undefined ? undefined : () => openStoreReader(store, signal),
    state,
    scratch: args.text('scratch') ?? join(state, 'scratch'),
    trust: await readTrust(args),
    ...args.platform,
    quota: sizeOption(args, 'quota'),
    link: { rate: sizeOption(args, 'limit-rate'), budget: sizeOption(args, 'budget') },
    limits: args.limits,
    log,
    signal,
  });
  await seedAll(args.list('source'), mirror.context);
  using _ = keepQuota(mirror.context, (manifest) => mirror.isComing(manifest));

  const pages = pagesOf(mirror.context);
  const names = args.list('allow-host');
  await using stack = new AsyncDisposableStack();
  for (const { host, port, preset } of listeners) {
    const endpoint = createEndpoint(mirror, preset);
    const guarded = isKnown ? requireAccount(isKnown, endpoint) : endpoint;
    const listener = stack.use(await serve({ host, port, names, tls }, servePages(pages, guarded)));
    if (!isLoopback(host) && !isKnown && !tls?.ca) {
      log.warn({ host }, 'everybody who reaches this address can pull private images');
    }
    log.info({ host, port: listener.port, upstream: preset.host }, 'listening');
  }
  const file = args.text('follow');
  if (file !== undefined) stack.use(follow(mirror, file, span));
  await aborted(signal);
}

function sizeOption(args: Arguments, name: string): number | undefined {
  const text = args.text(name);
  return text === undefined ? undefined : parseSize(text, `--${name}`);
}

function printConfig(args: Arguments, engine: string): void {
  const { files, notes } = engineConfig(engine, mirrorUrl(args), upstreamsOf(args));
  for (const note of notes) process.stderr.write(`${note}\n`);
  if (args.flag('json')) return printResult(args, { files, notes }, '');
  const isMarked = files.length > 1;
  for (const { path, text } of files) {
    if (isMarked) process.stdout.write(`# ${path}\n`);
    else process.stderr.write(`${path}:\n`);
    process.stdout.write(`${text}\n`);
  }
}

async function prefetchAll(args: Arguments, names: readonly string[], signal: AbortSignal): Promise<void> {
  const options = { limits: args.limits, signal, ...args.platform };
  const mirror = mirrorUrl(args);
  const images: object[] = [];
  for (const name of names) {
    const { digest, bytes } = await prefetch(name, mirror, options);
    images.push({ name, digest, bytes });
    if (!args.flag('json'))
      process.stdout.write(`${name}: ${digest}, ${formatSize(bytes)} of layers are held\n`);
  }
  if (args.flag('json')) printResult(args, { images }, '');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function stateDirectory(): string {
  return join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'panamax-mirror');
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await promise;
}
