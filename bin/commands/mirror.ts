import { homedir } from 'node:os';
import { join } from 'node:path';
import { PanamaxError } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { readAccounts, requireAccount } from '../../lib/mirror/access.ts';
import { createEndpoint } from '../../lib/mirror/endpoint.ts';
import { engineConfig, ENGINE_NAMES } from '../../lib/mirror/engineconfig.ts';
import type { MirrorOptions } from '../../lib/mirror/context.ts';
import { openMirror, type Mirror } from '../../lib/mirror/mirror.ts';
import { bringImage, follow } from '../../lib/mirror/follow.ts';
import { holdState } from '../../lib/mirror/hold.ts';
import { pagesOf } from '../../lib/mirror/pages.ts';
import { createPermissionCheck } from '../../lib/mirror/permission.ts';
import { prefetch } from '../../lib/mirror/prefetch.ts';
import { keepQuota } from '../../lib/mirror/quota.ts';
import { seed, seedAll } from '../../lib/mirror/seed.ts';
import { parseWindow } from '../../lib/mirror/window.ts';
import { statIfThere } from '../../lib/runtime/file.ts';
import { limitMemory } from '../../lib/runtime/footprint.ts';
import { isBundle, readBundledNames } from '../../lib/store/bundle.ts';
import { openStoreReader } from '../../lib/store/objects/open.ts';
import { isLoopback } from '../../lib/web/host.ts';
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

/** In seconds. A tag, its manifest and the choice of a patch wait for answers, and engines for 30 s. */
const MAX_ANSWER_TIME = 8;

export const mirrorCommand: Command = {
  summary:
    'Serves images of registries to the engines of a site, by patches; to all who reach it, private ones too.',
  operands: ['[config ENGINE]', '[prefetch NAME...]', '[import BUNDLE|IMAGE...]'],
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
    if (args.flag('no-fallback') && action !== 'config') {
      const expected = 'mirror config ENGINE --no-fallback, or --max-pass SIZE';
      throw new PanamaxError('usage', '--no-fallback is for config', { expected });
    }
    if (action === undefined) return serveMirror(args, signal);
    if (action === 'config' && names.length === 1) return printConfig(args, names[0]!);
    if (action === 'prefetch' && names.length > 0) return prefetchAll(args, names, signal);
    if (action === 'import' && names.length > 0) return importAll(args, names, signal);
    const expected = `config ${ENGINE_NAMES.join('|')}, prefetch NAME..., import BUNDLE|IMAGE..., or none`;
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
  const window = args.text('window');
  const span = window === undefined ? undefined : parseWindow(window);
  const accounts = args.text('accounts');
  const isKnown = accounts === undefined ? undefined : await readAccounts(accounts);
  const asksUpstream = args.flag('ask-upstream');
  if (asksUpstream && isKnown) {
    throw new PanamaxError('usage', 'passwords of two kinds', { expected: '--accounts or --ask-upstream' });
  }
  const tls = await readTls(args);
  await using stack = new AsyncDisposableStack();
  const mirror = await openState(
    args,
    store === undefined ? undefined : () => openStoreReader(store, signal),
    stack,
    signal,
  );
  using _ = keepQuota(mirror.context, (manifest) => mirror.isComing(manifest));

  const checkPermission = asksUpstream ? createPermissionCheck(mirror.context) : undefined;
  const pages = pagesOf(mirror.context);
  const names = args.list('allow-host');
  for (const { host, port, preset } of listeners) {
    const endpoint = createEndpoint(mirror, preset, checkPermission);
    const guarded = isKnown ? requireAccount(isKnown, endpoint) : endpoint;
    const listener = stack.use(await serve({ host, port, names, tls }, servePages(pages, guarded)));
    if (!isLoopback(host) && !isKnown && !checkPermission && !tls?.ca) {
      log.warn({ host }, 'everybody who reaches this address can pull private images');
    } else if (!isLoopback(host) && !tls) {
      log.warn({ host }, 'passwords cross the network in the clear: --tls-cert encrypts them');
    }
    log.info({ host, port: listener.port, upstream: preset.host }, 'listening');
  }
  const file = args.text('follow');
  if (file !== undefined) stack.use(follow(mirror, file, span));
  await aborted(signal);
}

/** Opens the mirror of a state directory, which `stack` holds, with the images of --source. */
async function openState(
  args: Arguments,
  openStore: MirrorOptions['openStore'],
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Mirror> {
  const state = args.text('state') ?? stateDirectory();
  stack.use(await holdState(state));
  const mirror = await openMirror({
    upstreams: upstreamsOf(args),
    openStore,
    state,
    scratch: args.text('scratch') ?? join(state, 'scratch'),
    trust: await readTrust(args),
    ...args.platform,
    quota: sizeOption(args, 'quota'),
    answerTime: answerTime(args),
    maxPass: sizeOption(args, 'max-pass'),
    link: { rate: sizeOption(args, 'limit-rate'), budget: sizeOption(args, 'budget') },
    limits: args.limits,
    log: createLog(args.text('log-level')!),
    signal,
  });
  await seedAll(args.list('source'), mirror.context);
  return mirror;
}

/** Brings the images of bundles, layouts, archives and engines into the state of a mirror that does not run. */
async function importAll(args: Arguments, places: readonly string[], signal: AbortSignal): Promise<void> {
  limitMemory();
  const images: Imported[] = [];
  for (const place of places) {
    await using stack = new AsyncDisposableStack();
    if (await isImage(place)) {
      const mirror = await openState(args, undefined, stack, signal);
      images.push(told(args, { name: place, ...(await seed(place, mirror.context)) }));
      continue;
    }
    const reader = await openStoreReader(place, signal);
    const names = await readBundledNames(reader);
    const mirror = await openState(args, async () => reader, stack, signal);
    for (const name of names) {
      const { digest, blobs } = await bringImage(mirror, name);
      images.push(told(args, { name, digest, bytes: blobs.reduce((sum, { size }) => sum + size, 0) }));
    }
  }
  if (args.flag('json')) printResult(args, { images }, '');
}

/** Whether an operand of `import` is an image. Anything else is a bundle, or an error that tells so. */
async function isImage(place: string): Promise<boolean> {
  const info = await statIfThere(place);
  if (info?.isFile()) return !(await isBundle(place));
  return !info || (await statIfThere(join(place, 'oci-layout'))) !== undefined;
}

interface Imported {
  readonly name: string;
  readonly digest: string;
  readonly bytes: number;
}

/** Prints an image that has come, unless all are printed as JSON in the end. */
function told(args: Arguments, image: Imported): Imported {
  const { name, digest, bytes } = image;
  if (!args.flag('json')) process.stdout.write(`${name}: ${digest}, ${formatSize(bytes)} are held\n`);
  return image;
}

/** @returns milliseconds. @throws PanamaxError `usage` */
function answerTime(args: Arguments): number {
  const seconds = args.count('answer-time');
  if (seconds <= MAX_ANSWER_TIME) return 1000 * seconds;
  const found = String(seconds);
  throw new PanamaxError('usage', '--answer-time', { expected: `1 to ${MAX_ANSWER_TIME} seconds`, found });
}

function sizeOption(args: Arguments, name: string): number | undefined {
  const text = args.text(name);
  return text === undefined ? undefined : parseSize(text, `--${name}`);
}

function printConfig(args: Arguments, engine: string): void {
  const fallback = !args.flag('no-fallback');
  const { files, notes } = engineConfig(engine, {
    mirror: mirrorUrl(args),
    upstreams: upstreamsOf(args),
    fallback,
  });
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
  const images: Imported[] = [];
  for (const name of names) images.push(told(args, { name, ...(await prefetch(name, mirror, options)) }));
  if (args.flag('json')) printResult(args, { images }, '');
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
