import { startTracing } from '../../lib/queue/tracing.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { PanamaxError } from '../../lib/errors.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { isLoopback } from '../../lib/web/host.ts';
import { serve, servePages } from '../../lib/web/server.ts';
import { createHook, HOOK_PATH } from '../../producers/watch/hook.ts';
import type { Settings } from '../../producers/watch/queue.ts';
import { readSecrets, type Secrets } from '../../lib/runtime/http/secret.ts';
import { parseWatched } from '../../producers/watch/watched.ts';
import { createWatcher, type Watcher } from '../../producers/watch/watcher.ts';
import { findBuild } from '../build.ts';
import { COMMON, pick, type Arguments, type Command } from '../command.ts';
import { parseDuration } from '../format.ts';
import { DELTA_OPTIONS, FORCE_OPTION, parseEffort, parseFormats } from '../options/delta.ts';
import { parseListen } from '../options/listen.ts';
import { MIRROR_OPTIONS, readTls } from '../options/mirror.ts';
import { parsePriority, PRIORITY_OPTION, PUBLISH_OPTION, redisUrl, REDIS_OPTION } from '../options/queue.ts';
import { REGISTRY_OPTIONS, TAG_OPTIONS } from '../options/registry.ts';
import { RUN_OPTIONS } from '../options/run.ts';
import { STORE_OPTIONS } from '../options/session.ts';

/** Defaults of --every. */
const EVERY = '5m';
/** Looks find the pushes of which no notification came. */
const EVERY_LISTENING = '1h';

export const watchCommand: Command = {
  summary: 'Queues patches to the images that are pushed to repositories, from the releases before them.',
  operands: ['REPOSITORY...'],
  options: {
    ...pick(TAG_OPTIONS, 'tags'),
    every: {
      type: 'string',
      value: 'TIME',
      env: true,
      help: `time between two looks, such as 1m or 2h (default: ${EVERY}, with --listen ${EVERY_LISTENING})`,
    },
    once: { type: 'boolean', help: 'look once, for a timer or a CI job' },
    listen: {
      type: 'string',
      value: '[HOST:]PORT',
      env: true,
      help: `take notifications of registries at ${HOOK_PATH}, and answer /healthz (default: off)`,
    },
    'secret-file': {
      type: 'string',
      value: 'FILE',
      env: true,
      help: 'secrets of which a notification has to show one, each on a line; without it only loopback addresses are listened on',
    },
    'allow-host': {
      ...MIRROR_OPTIONS['allow-host']!,
      help: 'host name that notifications may be sent to, in addition to the address listened on',
    },
    ...pick(MIRROR_OPTIONS, 'tls-cert', 'tls-key'),
    ...PUBLISH_OPTION,
    ...pick(RUN_OPTIONS, 'top', 'rollback'),
    ...DELTA_OPTIONS,
    ...FORCE_OPTION,
    ...PRIORITY_OPTION,
    ...REGISTRY_OPTIONS,
    ...REDIS_OPTION,
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'platform', 'help'),
  },
  async run(args, signal) {
    await using _tracing = await startTracing(findBuild().version, (message) => {
      process.stderr.write(`panamax watch: traces: ${message}\n`);
    });
    const redis = redisUrl(args);
    const watched = args.operands.map(parseWatched);
    const listening = args.text('listen');
    const interval = parseDuration(
      args.text('every') ?? (listening === undefined ? EVERY : EVERY_LISTENING),
      '--every',
    );
    const settings = settingsOf(args);
    const listen = listening === undefined ? undefined : await listenerOf(args, listening);
    const store = await openStore(args.text('store')!, { signal });
    const tags = args.text('tags');
    const watcher = createWatcher(store, {
      redis,
      settings,
      watched,
      limits: args.limits,
      signal,
      ...args.platform,
      ...(tags !== undefined && { tags }),
      print: (line) => process.stdout.write(`${line}\n`),
      warn: (line) => process.stderr.write(`panamax watch: ${line}\n`),
    });
    if (args.flag('once')) return watcher.look(true);
    if (listen) return serveNotifications(watcher, listen, interval, signal);
    for (;;) {
      await watcher.look();
      await sleep(interval, undefined, { signal });
    }
  },
};

interface NotificationListener {
  readonly listen: Parameters<typeof serve>[0];
  readonly secrets: Secrets | undefined;
}

/** @throws PanamaxError `usage` for a listener that others reach without a secret */
async function listenerOf(args: Arguments, text: string): Promise<NotificationListener> {
  if (args.flag('once')) throw new PanamaxError('usage', '--listen and --once exclude each other');
  const address = parseListen(text, '--listen');
  const file = args.text('secret-file');
  if (file === undefined && !isLoopback(address.host)) {
    throw new PanamaxError('usage', 'everybody who reaches this address could send notifications', {
      expected: '--secret-file FILE, or an address of the loopback interface',
      found: address.host,
    });
  }
  return {
    listen: { ...address, names: args.list('allow-host'), tls: await readTls(args) },
    secrets: file === undefined ? undefined : await readSecrets(file),
  };
}

/** Listens until the signal aborts. Looks as well: a notification may be lost. */
async function serveNotifications(
  watcher: Watcher,
  { listen, secrets }: NotificationListener,
  interval: number,
  signal: AbortSignal,
): Promise<void> {
  const hook = createHook({ secrets, take: (notices) => watcher.take(notices) });
  const alive = { type: 'text/plain', text: async () => 'alive\n' };
  await using listener = await serve(listen, servePages({ '/healthz': alive }, hook));
  const scheme = listen.tls ? 'https' : 'http';
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  process.stdout.write(`listening on ${scheme}://${host}:${listener.port}${HOOK_PATH}\n`);
  try {
    await watcher.look();
    watcher.begin();
    for (;;) {
      await sleep(interval, undefined, { signal });
      await watcher.look();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await watcher.idle();
  }
}

/** @throws PanamaxError `usage` */
function settingsOf(args: Arguments): Settings {
  return {
    ...args.platform,
    top: args.count('top'),
    formats: parseFormats(args),
    effort: parseEffort(args),
    ...(args.flag('force') && { force: true as const }),
    ...(args.flag('publish') && { publish: true as const }),
    ...(!args.flag('rollback') && { forward: true as const }),
    ...parsePriority(args),
  };
}
