import { STAGES, type Stage } from '../../lib/run/stage.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { enqueue, waitForRun, type Enqueued } from '../../producers/enqueue.ts';
import { checkRunId, newRunId, type RunPlan } from '../../lib/run/plan.ts';
import { absoluteReference } from '../../producers/question/references.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { formatTable } from '../format.ts';
import { formatStatus, redisUrl, REDIS_OPTION, refuseFailures } from '../options/queue.ts';
import { QUESTION_OPTIONS, QUESTION_USAGE, readQuestion } from '../options/run.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { createRunProgress } from '../progress.ts';
import { printResult, STORE_OPTION } from '../options/session.ts';

export const enqueueCommand: Command = {
  summary: 'Puts a run into the queue: patches to each IMAGE from what sites hold.',
  usage: QUESTION_USAGE,
  options: {
    ...QUESTION_OPTIONS,
    run: {
      type: 'string',
      value: 'NAME',
      help: 'names the run; the same name continues it (default: a new one)',
    },
    publish: {
      type: 'boolean',
      help: "put patches beside their targets in registries, too, with the workers' credentials",
    },
    'retry-failed': { type: 'boolean', help: 'try again what has failed in this run' },
    'dry-run': { type: 'boolean', help: 'tell what would be added' },
    wait: { type: 'boolean', short: 'w', help: 'follow the run to its end; fails if anything did' },
    ...REGISTRY_OPTIONS,
    ...REDIS_OPTION,
    store: STORE_OPTION['store']!,
    json: COMMON['json']!,
    platform: COMMON['platform']!,
    help: COMMON['help']!,
  },
  async run(args, signal) {
    const redis = redisUrl(args);
    const plan = await planOf(args, signal);
    const location = args.text('store')!;
    const store = await openStore(location, { signal, isHasty: true });
    const dryRun = args.flag('dry-run');
    const enqueued = await enqueue(plan, store, { redis, dryRun, retryFailed: args.flag('retry-failed') });
    if (!args.flag('wait') || dryRun) {
      printResult(args, enqueued, formatEnqueued(enqueued, dryRun));
      return;
    }
    process.stderr.write(`${formatEnqueued(enqueued, false)}\n`);
    const progress = createRunProgress();
    // a run outlasts the restart of a server
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

/** Said again only when it is for other stages. */
function createWarning(where: string): (stages: readonly Stage[]) => void {
  let last = '';
  return (stages) => {
    const text = `no worker is there for ${stages.join(', ')} of ${where}`;
    if (text !== last) process.stderr.write(`panamax enqueue: ${text}\n`);
    last = text;
  };
}

async function planOf(args: Arguments, signal: AbortSignal): Promise<RunPlan> {
  const question = await readQuestion(args, signal, absoluteReference);
  const started = new Date();
  const name = args.text('run');
  const id = name === undefined ? newRunId(started) : checkRunId(name);
  const publish = args.flag('publish') && { publish: true as const };
  return { id, started: started.toISOString(), ...question, ...publish };
}

function formatEnqueued({ run, stages }: Enqueued, dryRun: boolean): string {
  const rows = STAGES.map((stage) => {
    const { added, queued, failed, skipped, done } = stages[stage];
    return [stage, ...[added, queued, failed, skipped, done].map(String)];
  });
  const head = ['STAGE', dryRun ? 'TO ADD' : 'ADDED', 'QUEUED', 'FAILED', 'SKIPPED', 'DONE'];
  return `run ${run}\n${formatTable([head, ...rows], 1)}`;
}
