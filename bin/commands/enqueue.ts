import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { checkRunId, newRunId, type ResidentSet, type RunPlan } from '../../lib/run/plan.ts';
import { STAGES } from '../../lib/run/stage.ts';
import { openStore } from '../../lib/store/open.ts';
import { enqueue, waitForRun, type Enqueued } from '../../producers/enqueue.ts';
import { expandReferences, type TagChoice } from '../../producers/expand.ts';
import { parseInventory } from '../../producers/inventory.ts';
import { absoluteReference, readReferences } from '../../producers/references.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { DELTA_OPTIONS, FORCE_OPTION, TOGETHER_OPTION, parseEffort, parseFormats } from '../delta.ts';
import { formatTable } from '../format.ts';
import { formatStatus, redisUrl, REDIS_OPTION, refuseFailures } from '../queue.ts';
import { createRunProgress } from '../progress.ts';
import { REGISTRY_OPTIONS, TAG_OPTIONS, tagChoice } from '../registry.ts';
import { printResult, STORE_OPTION } from '../session.ts';

const USAGE = 'IMAGE... | --from FILE [options]';

export const enqueueCommand: Command = {
  summary: 'Puts a run into the queue: patches to each IMAGE from what sites hold.',
  usage: USAGE,
  options: {
    from: { type: 'string', value: 'FILE', help: 'more images, one a line; - is standard input' },
    sources: {
      type: 'string',
      short: 's',
      multiple: true,
      value: 'IMAGE',
      help: 'the images that sites have (default: all of IMAGE...)',
    },
    inventory: { type: 'string', short: 'i', value: 'FILE', help: 'YAML: sites, and the images each holds' },
    top: {
      type: 'string',
      value: 'K',
      help: 'patches per target and set of images, from the K best',
      default: '1',
    },
    run: {
      type: 'string',
      value: 'NAME',
      help: 'names the run; the same name continues it (default: a new one)',
    },
    'retry-failed': { type: 'boolean', help: 'try again what has failed in this run' },
    'dry-run': { type: 'boolean', help: 'tell what would be added' },
    wait: { type: 'boolean', short: 'w', help: 'follow the run to its end; fails if anything did' },
    ...TAG_OPTIONS,
    ...DELTA_OPTIONS,
    ...FORCE_OPTION,
    ...TOGETHER_OPTION,
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
    const status = await waitForRun(plan.id, patient, { redis, signal, onStatus: progress });
    printResult(args, { ...enqueued, status }, formatStatus({ ...status, failures: [] }));
    refuseFailures(status);
  },
};

async function planOf(args: Arguments, signal: AbortSignal): Promise<RunPlan> {
  const from = args.text('from');
  const listed = from === undefined ? [] : await readReferences(from);
  const choice = tagChoice(args, signal);
  const targets = await expandReferences(unique([...args.operands, ...listed]), choice);
  if (targets.length === 0) throw new PanamaxError('usage', 'no images', { expected: USAGE });
  const inventory = args.text('inventory');
  const sources = await expandReferences(unique(args.list('sources')), choice);
  const residents: ResidentSet[] = inventory === undefined ? [] : await readInventory(inventory, choice);
  const together = args.flag('together') && { together: true as const };
  if (sources.length > 0) residents.push({ images: sources, ...together });
  else if (inventory === undefined) residents.push({ images: targets, ...together });
  const started = new Date();
  const name = args.text('run');
  return {
    id: name === undefined ? newRunId(started) : checkRunId(name),
    started: started.toISOString(),
    targets,
    residents,
    ...args.platform,
    top: args.count('top'),
    formats: parseFormats(args),
    effort: parseEffort(args),
    ...(args.flag('force') && { force: true as const }),
  };
}

function unique(references: readonly string[]): string[] {
  return [...new Set(references.map(absoluteReference))];
}

async function readInventory(path: string, choice: TagChoice): Promise<ResidentSet[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  const sets: ResidentSet[] = [];
  for (const { images, ...set } of parseInventory(text, path)) {
    sets.push({ ...set, images: await expandReferences(unique(images), choice) });
  }
  return sets;
}

function formatEnqueued({ run, stages }: Enqueued, dryRun: boolean): string {
  const rows = STAGES.map((stage) => {
    const { added, queued, failed, done } = stages[stage];
    return [stage, ...[added, queued, failed, done].map(String)];
  });
  const head = ['STAGE', dryRun ? 'TO ADD' : 'ADDED', 'QUEUED', 'FAILED', 'DONE'];
  return `run ${run}\n${formatTable([head, ...rows], 1)}`;
}
