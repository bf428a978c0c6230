import { startTracing } from '../../lib/queue/tracing.ts';
import { STAGES, type Stage } from '../../lib/run/stage.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { enqueue, waitForRun, type Enqueued } from '../../producers/enqueue.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { findReport } from '../../lib/run/summary.ts';
import type { RunStatus } from '../../lib/run/status.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { addEarlier } from '../../producers/question/earlier.ts';
import { checkReadable } from '../../producers/question/resolve.ts';
import { checkRunId, imagesOf, newRunId, type RunRequest } from '../../lib/run/request.ts';
import { absoluteReference } from '../../producers/question/references.ts';
import { findBuild } from '../build.ts';
import { COMMON, pick, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import {
  formatStatus,
  parsePriority,
  PRIORITY_OPTION,
  PUBLISH_OPTION,
  redisUrl,
  REDIS_OPTION,
  refuseFailures,
} from '../options/queue.ts';
import { RUN_OPTIONS, parseRunRequest } from '../options/run.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { createRunProgress } from '../progress.ts';
import { printResult, STORE_OPTIONS } from '../options/session.ts';

export const enqueueCommand: Command = {
  summary: 'Adds a run to the queue: patches to each IMAGE from images that sites hold.',
  operands: ['[IMAGE...]'],
  options: {
    ...RUN_OPTIONS,
    run: {
      type: 'string',
      value: 'NAME',
      help: 'name of the run; the name of an existing run continues it (default: a new name)',
    },
    ...PUBLISH_OPTION,
    ...PRIORITY_OPTION,
    'retry-failed': { type: 'boolean', help: 'retry the failed jobs of this run' },
    'dry-run': { type: 'boolean', help: 'print the jobs that would be added, without adding them' },
    unchecked: {
      type: 'boolean',
      help: 'queue images that cannot be read from here, but by workers; errors are then those of the run',
    },
    wait: { type: 'boolean', short: 'w', help: 'wait for the end of the run; fail if any job failed' },
    ...REGISTRY_OPTIONS,
    ...REDIS_OPTION,
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'json', 'platform', 'help'),
  },
  async run(args, signal) {
    await using _tracing = await startTracing(findBuild().version, (message) => {
      process.stderr.write(`panamax enqueue: traces: ${message}\n`);
    });
    const redis = redisUrl(args);
    const location = args.text('store')!;
    const store = await openStore(location, { signal, failFast: true });
    const { plan, places } = await planOf(args, store, signal);
    const dryRun = args.flag('dry-run');
    const enqueued = await enqueue(plan, store, { redis, dryRun, retryFailed: args.flag('retry-failed') });
    if (!args.flag('wait') || dryRun) {
      printResult(args, enqueued, formatEnqueued(enqueued, dryRun));
      refuseLonely(plan, places);
      return;
    }
    process.stderr.write(`${formatEnqueued(enqueued, false)}\n`);
    const progress = createRunProgress();
    // opened again with retries, since the store's server may be restarted while the run goes on
    const patient = await openStore(location, { signal });
    const status = await waitForRun(plan.id, patient, {
      redis,
      signal,
      onStatus: progress,
      onUnattended: createWarning(patient.where),
    });
    printResult(args, { ...enqueued, status }, formatStatus({ ...status, failures: [] }));
    refuseFailures(status);
    refuseLonely(plan, places);
    await refuseNoPairs(status, patient);
  },
};

/** @throws PanamaxError `no-patch` if no target has an image to be made from; their signatures serve later runs */
function refuseLonely({ id, targets, residents }: RunRequest, places: readonly string[]): void {
  const isLonely = (target: string) =>
    residents.every(({ images }) => images.every((image) => image === target));
  const lonely = targets.filter(isLonely);
  if (lonely.length === 0 || lonely.length < targets.length) return;
  const looked = places.length > 0 ? `; looked at ${places.join(', ')}` : '';
  throw new PanamaxError('no-patch', `no patch results: no other image to make one from${looked}`, {
    expected: '--sources IMAGE... or --inventory FILE',
    where: `run ${id}`,
  });
}

/** @throws PanamaxError `no-patch` if a run that is over made no patch */
async function refuseNoPairs({ id, stages }: RunStatus, store: Store): Promise<void> {
  if (stages.delta.total !== 0) return;
  const report = await findReport(store, id);
  const why = (report?.passedOver ?? []).map(
    ({ target, source, candidate: { predictedPatchSize, pullSize } }) =>
      `${target} from ${source}: ${formatSize(predictedPatchSize)} predicted, a pull moves ${formatSize(pullSize)}`,
  );
  const reasons = why.length > 0 ? why.slice(0, 3).join('; ') : 'there is no earlier image to make one from';
  throw new PanamaxError('no-patch', `no patch results: ${reasons}`, { where: `run ${id}` });
}

/** Writes a warning only if its stages differ from those of the last one. */
function createWarning(where: string): (stages: readonly Stage[]) => void {
  let last = '';
  return (stages) => {
    const text = `no worker for ${stages.join(', ')} of ${where}`;
    if (text !== last) process.stderr.write(`panamax enqueue: ${text}\n`);
    last = text;
  };
}

async function planOf(
  args: Arguments,
  store: Store,
  signal: AbortSignal,
): Promise<{ readonly plan: RunRequest; readonly places: readonly string[] }> {
  const request = await parseRunRequest(args, signal, absoluteReference);
  const options = { ...args.platform, limits: args.limits, signal };
  if (!args.flag('unchecked')) await checkReadable(imagesOf(request), options);
  const started = new Date();
  const name = args.text('run');
  const id = name === undefined ? newRunId(started) : checkRunId(name);
  const publish = args.flag('publish') && { publish: true as const };
  const plan = { id, started: started.toISOString(), ...request, ...publish, ...parsePriority(args) };
  if (args.list('sources').length > 0 || args.text('inventory') !== undefined) return { plan, places: [] };
  return addEarlier(plan, store, options);
}

function formatEnqueued({ run, stages }: Enqueued, dryRun: boolean): string {
  const rows = STAGES.map((stage) => {
    const { added, queued, failed, skipped, done } = stages[stage];
    return [stage, ...[added, queued, failed, skipped, done].map(String)];
  });
  const head = ['STAGE', dryRun ? 'TO ADD' : 'ADDED', 'QUEUED', 'FAILED', 'SKIPPED', 'DONE'];
  return `run ${run}\n${formatTable([head, ...rows], 1)}`;
}
