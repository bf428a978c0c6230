import { setTimeout as sleep } from 'node:timers/promises';
import { toPanamaxError } from '../../lib/errors.ts';
import { formatRegistryName } from '../../lib/image/oci/registryname.ts';
import type { RunRequest } from '../../lib/run/request.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { addEarlier } from '../../producers/question/earlier.ts';
import { lookAt, parseWatched, type Push, type Watched } from '../../producers/watch.ts';
import { COMMON, pick, type Arguments, type Command } from '../command.ts';
import { parseDuration } from '../format.ts';
import { DELTA_OPTIONS, FORCE_OPTION, parseEffort, parseFormats } from '../options/delta.ts';
import { parsePriority, PRIORITY_OPTION, PUBLISH_OPTION, redisUrl, REDIS_OPTION } from '../options/queue.ts';
import { REGISTRY_OPTIONS, TAG_OPTIONS } from '../options/registry.ts';
import { RUN_OPTIONS } from '../options/run.ts';
import { STORE_OPTIONS } from '../options/session.ts';

export const watchCommand: Command = {
  summary: 'Queues patches to the images that are pushed to repositories, from the releases before them.',
  operands: ['REPOSITORY...'],
  options: {
    ...pick(TAG_OPTIONS, 'tags'),
    every: {
      type: 'string',
      value: 'TIME',
      default: '5m',
      env: true,
      help: 'time between two looks, such as 1m or 2h',
    },
    once: { type: 'boolean', help: 'look once, for a timer or a CI job' },
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
    const redis = redisUrl(args);
    const repositories = args.operands.map(parseWatched);
    const interval = parseDuration(args.text('every')!, '--every');
    const settings = settingsOf(args);
    const store = await openStore(args.text('store')!, { signal });
    for (;;) {
      for (const repository of repositories) {
        try {
          await look(repository, store, { redis, settings, args, signal });
        } catch (error) {
          signal.throwIfAborted();
          if (args.flag('once')) throw error;
          // the registry may answer at the next look
          const { message } = toPanamaxError(error);
          process.stderr.write(`panamax watch: docker://${formatRegistryName(repository)}: ${message}\n`);
        }
      }
      if (args.flag('once')) return;
      await sleep(interval, undefined, { signal });
    }
  },
};

type Settings = Omit<RunRequest, 'id' | 'started' | 'targets' | 'residents'>;

interface WatchContext {
  readonly redis: string;
  readonly settings: Settings;
  readonly args: Arguments;
  readonly signal: AbortSignal;
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

async function look(repository: Watched, store: Store, context: WatchContext): Promise<void> {
  const { args, signal } = context;
  const tags = args.text('tags');
  const options = { limits: args.limits, signal, ...(tags !== undefined && { tags }) };
  const { pushed, tags: count, remember } = await lookAt(repository, store, options);
  const place = `docker://${formatRegistryName(repository)}`;
  if (!pushed) process.stdout.write(`${place}: ${count} tags are known, later pushes are queued\n`);
  for (const push of pushed ?? []) {
    await queue(push, store, context);
    process.stdout.write(`${push.reference}: queued as run ${push.run}\n`);
  }
  await remember();
}

async function queue({ reference, run }: Push, store: Store, context: WatchContext): Promise<void> {
  const { redis, settings, args, signal } = context;
  const options = { ...args.platform, limits: args.limits, signal };
  const first = {
    id: run,
    started: new Date().toISOString(),
    targets: [reference],
    residents: [{ images: [reference] }],
    ...settings,
  };
  const { plan } = await addEarlier(first, store, options);
  await enqueue(plan, store, { redis, retryFailed: false, dryRun: false });
}
