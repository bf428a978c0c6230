import { STAGES, type Stage } from '../../lib/run/stage.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { enqueue, waitForRun, type Enqueued } from '../../producers/enqueue.ts';
import { checkRunId, newRunId, type RunRequest } from '../../lib/run/request.ts';
import { absoluteReference } from '../../producers/question/references.ts';
import { COMMON, pick, type Arguments, type Command } from '../command.ts';
import { formatTable } from '../format.ts';
import { formatStatus, redisUrl, REDIS_OPTION, refuseFailures } from '../options/queue.ts';
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
    publish: {
      type: 'boolean',
      help: "publish patches beside their targets in registries as well, with the workers' credentials",
    },
    'retry-failed': { type: 'boolean', help: 'retry the failed jobs of this run' },
    'dry-run': { type: 'boolean', help: 'print the jobs that would be added, without adding them' },
    wait: { type: 'boolean', short: 'w', help: 'wait for the end of the run; fail if any job failed' },
    ...REGISTRY_OPTIONS,
    ...REDIS_OPTION,
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'json', 'platform', 'help'),
  },
  async run(args, signal) {
    const redis = redisUrl(args);
    const plan = await planOf(args, signal);
    const location = args.text('store')!;
    const store = await openStore(location, { signal, failFast: true });
    const dryRun = args.flag('dry-run');
    const enqueued = await enqueue(plan, store, { redis, dryRun, retryFailed: args.flag('retry-failed') });
    if (!args.flag('wait') || dryRun) {
      printResult(args, enqueued, formatEnqueued(enqueued, dryRun));
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
  },
};

/** Writes a warning only if its stages differ from those of the last one. */
function createWarning(where: string): (stages: readonly Stage[]) => void {
  let last = '';
  return (stages) => {
    const text = `no worker for ${stages.join(', ')} of ${where}`;
    if (text !== last) process.stderr.write(`panamax enqueue: ${text}\n`);
    last = text;
  };
}

async function planOf(args: Arguments, signal: AbortSignal): Promise<RunRequest> {
  const request = await parseRunRequest(args, signal, absoluteReference);
  const started = new Date();
  const name = args.text('run');
  const id = name === undefined ? newRunId(started) : checkRunId(name);
  const publish = args.flag('publish') && { publish: true as const };
  return { id, started: started.toISOString(), ...request, ...publish };
}

function formatEnqueued({ run, stages }: Enqueued, dryRun: boolean): string {
  const rows = STAGES.map((stage) => {
    const { added, queued, failed, skipped, done } = stages[stage];
    return [stage, ...[added, queued, failed, skipped, done].map(String)];
  });
  const head = ['STAGE', dryRun ? 'TO ADD' : 'ADDED', 'QUEUED', 'FAILED', 'SKIPPED', 'DONE'];
  return `run ${run}\n${formatTable([head, ...rows], 1)}`;
}
