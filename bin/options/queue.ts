import { PanamaxError } from '../../lib/errors.ts';
import { createForest, type SimilarityIndex } from '../../lib/pairing/forest.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { redisForest } from '../../lib/queue/similarity.ts';
import { PRIORITIES, type RunRequest } from '../../lib/run/request.ts';
import type { RunStatus } from '../../lib/run/status.ts';
import { STAGES } from '../../lib/run/stage.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import type { Arguments, Options } from '../command.ts';
import { formatShare, formatSize, formatTable } from '../format.ts';

export const REDIS_OPTION: Options = {
  redis: {
    type: 'string',
    value: 'URL',
    env: true,
    help: 'redis://HOST:PORT (default: REDIS_URL in the environment)',
  },
};

export const PUBLISH_OPTION: Options = {
  publish: {
    type: 'boolean',
    help: "publish patches beside their targets in registries as well, with the workers' credentials",
  },
};

export const PRIORITY_OPTION: Options = {
  priority: {
    type: 'string',
    value: 'PRIORITY',
    default: 'normal',
    choices: PRIORITIES,
    env: true,
    help: `${PRIORITIES.join(', ')}: jobs of this run go before those of lower ones`,
  },
};

/** @throws PanamaxError `usage` */
export function parsePriority(args: Arguments): Pick<RunRequest, 'priority'> {
  const text = args.text('priority')!;
  const priority = PRIORITIES.find((known) => known === text);
  if (!priority)
    throw new PanamaxError('usage', '--priority', { expected: PRIORITIES.join(', '), found: text });
  return priority === 'normal' ? {} : { priority };
}

export function findRedisUrl(args: Arguments): string | undefined {
  return args.text('redis') ?? process.env['REDIS_URL'];
}

/** @throws PanamaxError `usage` */
export function redisUrl(args: Arguments): string {
  const url = findRedisUrl(args);
  if (url) return url;
  throw new PanamaxError('usage', 'no Redis', { expected: '--redis URL, or REDIS_URL in the environment' });
}

/** Runs an action on the similarity index that the store's workers keep in Redis. @throws PanamaxError `io` */
export async function withRedisIndex<Result>(
  url: string,
  store: Store,
  action: (index: SimilarityIndex) => Promise<Result>,
): Promise<Result> {
  const connection = await connectProducer(url, store);
  try {
    return await action(createForest(redisForest(connection)));
  } finally {
    connection.redis.disconnect();
  }
}

export function formatStatus(status: RunStatus): string {
  const rows = STAGES.map((stage) => {
    const { total, done, skipped, failed } = status.stages[stage];
    const left = total === undefined ? '-' : String(total - done - skipped - failed);
    return [stage, total === undefined ? '-' : String(total), ...[done, skipped, failed].map(String), left];
  });
  const { pull, saved } = status.bytes;
  const lines = [
    `run ${status.id}: ${stateOf(status)}`,
    formatTable([['STAGE', 'TOTAL', 'DONE', 'SKIPPED', 'FAILED', 'LEFT'], ...rows], 1),
    `${formatSize(saved)} saved of ${formatSize(pull)} (${formatShare(saved, pull)})`,
  ];
  if (status.secondsLeft !== undefined) lines.push(`about ${formatDuration(status.secondsLeft)} left`);
  return [...lines, ...formatFailures(status)].join('\n');
}

function stateOf({ started, finished, idleSince }: RunStatus): string {
  if (finished) return `over since ${finished}`;
  return idleSince ? `started ${started}, without a leader since ${idleSince}` : `since ${started}`;
}

export function formatFailures({ failures }: RunStatus): string[] {
  return failures.map(({ what, error }) => `  ${what}: ${error.kind}: ${error.message}`);
}

function formatDuration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** @throws PanamaxError `partial` if the run has failures */
export function refuseFailures({ failures }: { readonly failures: RunStatus['failures'] }): void {
  if (failures.length === 0) return;
  const list = failures.map(({ what, error }) => `  ${what}: ${error.message}`).join('\n');
  throw new PanamaxError('partial', `${failures.length} failed:\n${list}`);
}
