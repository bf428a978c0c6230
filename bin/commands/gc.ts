import { PanamaxError } from '../../lib/errors.ts';
import { findAwaitedImages, takeCensus, type Census } from '../../lib/retention/census.ts';
import { findUnneededCompressions } from '../../lib/retention/compressions.ts';
import { findUnneededLayers } from '../../lib/retention/layers.ts';
import { applyPolicy, shortName } from '../../lib/retention/policy.ts';
import { remove, removeUnreferenced, type Outcome, type RemovedObject } from '../../lib/retention/removal.ts';
import { findOldRuns } from '../../lib/retention/runs.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { COMMON, pick, type Arguments, type Command } from '../command.ts';
import { formatCount, formatSize, formatTable } from '../format.ts';
import { readHeldImages } from '../options/inventory.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, STORE_OPTIONS } from '../options/session.ts';

const HOUR = 3600 * 1000;

export const gcCommand: Command = {
  summary: 'Removes patches that no policy keeps from the store; a dry run without --apply.',
  operands: [],
  options: {
    'keep-last': {
      type: 'string',
      value: 'N',
      help: 'keep the N latest images and the N highest versions of each repository (default: images of current names)',
    },
    inventory: {
      type: 'string',
      short: 'i',
      value: 'FILE',
      help: 'YAML file that lists the images of each site: keep these, and patches from these',
    },
    unnamed: { type: 'boolean', help: 'also remove images that no name has ever stood for' },
    grace: {
      type: 'string',
      value: 'HOURS',
      help: 'keep younger objects; must be longer than a run takes',
      default: '24',
    },
    'keep-runs': {
      type: 'string',
      value: 'DAYS',
      help: 'keep records of runs this long after their last activity',
      default: '30',
    },
    apply: { type: 'boolean', help: 'remove the objects' },
    ...pick(STORE_OPTIONS, 'store'),
    ...REGISTRY_OPTIONS,
    ...pick(COMMON, 'json', 'platform', 'help'),
  },
  async run(args, signal) {
    const inventory = args.text('inventory');
    const keepLast = args.text('keep-last') === undefined ? undefined : args.count('keep-last');
    if (inventory === undefined && keepLast === undefined) {
      throw new PanamaxError('usage', 'needs --keep-last N or --inventory FILE');
    }
    const grace = parseDuration(args, 'grace', 'hours') * HOUR;
    const keepRuns = parseDuration(args, 'keep-runs', 'days') * 24 * HOUR;
    const store = await openStore(args.text('store')!, { signal, mustExist: true });
    const census = await takeCensus(store, signal);
    const retention = applyPolicy(census, {
      ...(keepLast !== undefined && { keepLast }),
      ...(inventory !== undefined && { inventory: await readHeldImages(inventory, census, args, signal) }),
      dropUnnamed: args.flag('unnamed'),
    });
    const applied = args.flag('apply');
    const options = {
      grace,
      isReal: applied,
      signal,
      awaited: cached(() => findAwaitedImages(store, signal)),
    };
    const outcome = await remove(store, retention, options);
    const gone = new Set(outcome.removed.flatMap(({ isGone, target }) => (isGone ? [target] : [])));
    const records = await findUnneededCompressions(store, census, gone, signal);
    const compressions = await removeUnreferenced(store, records, options);
    const summaries = await findUnneededLayers(store, census, gone, signal);
    const layers = await removeUnreferenced(store, summaries, options);
    const old = await findOldRuns(store, keepRuns, signal);
    const runs: { readonly run: string; readonly objects: readonly RemovedObject[] }[] = [];
    for (const { run, keys } of old) {
      runs.push({ run, objects: await removeUnreferenced(store, keys, { ...options, grace: 0 }) });
    }
    const objects = [...outcome.removed, ...runs].flatMap((one) => one.objects);
    const bytes = [...objects, ...compressions, ...layers].reduce((sum, { size }) => sum + size, 0);
    const result = { applied, bytes, kept: retention.kept, ...outcome, compressions, layers, runs };
    printResult(args, result, formatResult(result, census));
  },
};

/** Age in milliseconds after which the images of unfinished runs are looked up again. */
const MAX_AGE = 5000;

/** Keeps a result for `MAX_AGE`. */
function cached<Found>(find: () => Promise<Found>): () => Promise<Found> {
  let found = find();
  let at = Date.now();
  return () => {
    if (Date.now() - at > MAX_AGE) {
      found = find();
      at = Date.now();
    }
    return found;
  };
}

function parseDuration(args: Arguments, option: string, unit: string): number {
  const count = Number(args.text(option));
  if (Number.isFinite(count) && count >= 0) return count;
  throw new PanamaxError('usage', `--${option}`, {
    expected: `a number of ${unit}`,
    found: args.text(option)!,
  });
}

interface Result extends Outcome {
  readonly applied: boolean;
  readonly bytes: number;
  readonly compressions: readonly RemovedObject[];
  readonly layers: readonly RemovedObject[];
  readonly runs: readonly { readonly run: string }[];
}

function formatResult(
  { applied, bytes, removed, names, left, compressions, layers, runs }: Result,
  census: Census,
): string {
  const rows = removed.map(({ target, why, objects }) => {
    const patches = objects.filter(({ key }) => key.startsWith('patches/') && !key.endsWith('.json')).length;
    const size = objects.reduce((sum, object) => sum + object.size, 0);
    return [shortName(target, census.names), why, String(patches), String(objects.length), formatSize(size)];
  });
  const head = ['IMAGE', 'WHY', 'PATCHES', 'OBJECTS', 'SIZE'];
  const table = rows.length > 0 ? `${formatTable([head, ...rows], 2)}\n` : '';
  const counts: readonly [number, string][] = [
    [names.length, 'past name record'],
    [runs.length, 'run'],
    [compressions.length, 'compression record'],
    [layers.length, 'summarized layer'],
  ];
  const also = counts
    .flatMap(([count, noun]) => (count > 0 ? [`, ${formatCount(count, noun)}`] : []))
    .join('');
  const skipped =
    left.length > 0 ? `; ${formatCount(left.length, 'image')} skipped, too young or needed by a run` : '';
  if (removed.length === 0 && also === '') return `nothing to remove${skipped}`;
  const done = applied ? 'removed' : 'to be removed by --apply';
  return `${table}${formatSize(bytes)} of ${formatCount(removed.length, 'image')}${also} ${done}${skipped}`;
}
