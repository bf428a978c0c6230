import { isDigest, type Digest } from '../../lib/digest.ts';
import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { formatReleaseName, parseReleaseName, releaseNameOf } from '../../lib/image/oci/releasename.ts';
import { findAwaitedImages, takeCensus, type Census } from '../../lib/retention/census.ts';
import { findUnneededCompressions } from '../../lib/retention/compressions.ts';
import { applyPolicy, shortName } from '../../lib/retention/policy.ts';
import { remove, removeUnreferenced, type Outcome, type RemovedObject } from '../../lib/retention/removal.ts';
import { findOldRuns } from '../../lib/retention/runs.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { parseInventory } from '../../producers/question/inventory.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, STORE_OPTION } from '../options/session.ts';

const USAGE = '--keep-last N | --inventory FILE [options]';
const HOUR = 3600 * 1000;

export const gcCommand: Command = {
  summary: 'Removes patches that nobody needs from the store; without --apply it only says which.',
  usage: USAGE,
  options: {
    'keep-last': {
      type: 'string',
      value: 'N',
      help: 'keep the N images that each repository was tagged with last, and the N highest versions (default: what names stand for)',
    },
    inventory: {
      type: 'string',
      short: 'i',
      value: 'FILE',
      help: 'YAML: sites, and the images each holds: keep those, and patches from those',
    },
    unnamed: { type: 'boolean', help: 'give up images that no name has stood for, too' },
    grace: {
      type: 'string',
      value: 'HOURS',
      help: 'leave alone what is younger: longer than a run takes',
      default: '24',
    },
    'keep-runs': {
      type: 'string',
      value: 'DAYS',
      help: 'keep the records of runs for so long after they were last heard of',
      default: '30',
    },
    apply: { type: 'boolean', help: 'remove it' },
    store: STORE_OPTION['store']!,
    ...REGISTRY_OPTIONS,
    json: COMMON['json']!,
    platform: COMMON['platform']!,
    help: COMMON['help']!,
  },
  async run(args, signal) {
    operandCount(args, 0, 0, USAGE);
    const inventory = args.text('inventory');
    const keepLast = args.text('keep-last') === undefined ? undefined : args.count('keep-last');
    if (inventory === undefined && keepLast === undefined) {
      throw new PanamaxError('usage', 'nothing says what is to be kept', { expected: USAGE });
    }
    const grace = parseDuration(args, 'grace', 'hours') * HOUR;
    const keepRuns = parseDuration(args, 'keep-runs', 'days') * 24 * HOUR;
    const store = await openStore(args.text('store')!, { signal, mustExist: true });
    const census = await takeCensus(store, signal);
    const retention = applyPolicy(census, {
      ...(keepLast !== undefined && { keepLast }),
      ...(inventory !== undefined && { inventory: await readHeld(inventory, census, args, signal) }),
      dropUnnamed: args.flag('unnamed'),
    });
    const applied = args.flag('apply');
    const options = {
      grace,
      isReal: applied,
      signal,
      awaited: lately(() => findAwaitedImages(store, signal)),
    };
    const outcome = await remove(store, retention, options);
    const gone = new Set(outcome.removed.flatMap(({ isGone, target }) => (isGone ? [target] : [])));
    const unneeded = await findUnneededCompressions(store, census, gone, signal);
    const compressions = await removeUnreferenced(store, unneeded, options);
    const old = await findOldRuns(store, keepRuns, signal);
    const runs: { readonly run: string; readonly objects: readonly RemovedObject[] }[] = [];
    for (const { run, keys } of old) {
      runs.push({ run, objects: await removeUnreferenced(store, keys, { ...options, grace: 0 }) });
    }
    const objects = [...outcome.removed, ...runs].flatMap((one) => one.objects);
    const bytes = [...objects, ...compressions].reduce((sum, { size }) => sum + size, 0);
    const result = { applied, bytes, kept: retention.kept, ...outcome, compressions, runs };
    printResult(args, result, formatResult(result, census));
  },
};

/** How long runs that begin meanwhile may go unseen, in milliseconds. */
const LATELY = 5000;

/** What was found lately, or is found now. */
function lately<Found>(find: () => Promise<Found>): () => Promise<Found> {
  let found = find();
  let at = Date.now();
  return () => {
    if (Date.now() - at > LATELY) {
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

/** What cannot be told stops it: what a site holds must not go for a slip of the pen. */
async function readHeld(
  path: string,
  census: Census,
  { limits, platform }: Arguments,
  signal: AbortSignal,
): Promise<Set<Digest>> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  const held = new Set<Digest>();
  for (const reference of new Set(parseInventory(text, path).flatMap(({ images }) => images))) {
    const named = manifestsOf(reference, census);
    for (const manifest of named) held.add(manifest);
    if (named.length > 0) continue;
    held.add(
      (await openImage(await parseReference(reference), { ...platform, limits, signal })).manifestDigest,
    );
  }
  return held;
}

/** A digest is its own; a name may be held as any of the images that it has stood for. */
function manifestsOf(reference: string, { names, images }: Census): Digest[] {
  const digest = reference.slice(reference.indexOf('@') + 1);
  if (isDigest(digest) && (reference === digest || images.has(digest))) return [digest];
  const name = releaseNameOf(reference) ?? plainName(reference);
  const text = name && formatReleaseName({ repository: name.repository, ...(name.tag && { tag: name.tag }) });
  return names.filter((record) => record.name === text).map(({ target }) => target.manifest);
}

/** As sites' own lists have it, without a transport. */
function plainName(reference: string) {
  try {
    return parseReleaseName(reference);
  } catch {
    return undefined;
  }
}

interface Result extends Outcome {
  readonly applied: boolean;
  readonly bytes: number;
  readonly compressions: readonly RemovedObject[];
  readonly runs: readonly { readonly run: string }[];
}

function formatResult(
  { applied, bytes, removed, names, left, compressions, runs }: Result,
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
    [names.length, 'past records of names'],
    [runs.length, 'runs'],
    [compressions.length, 'compressions of layers'],
  ];
  const also = counts.flatMap(([count, what]) => (count > 0 ? [`, ${count} ${what}`] : [])).join('');
  const young = left.length > 0 ? `; ${left.length} images left alone, too young or needed by a run` : '';
  const done = applied ? 'removed' : 'to be removed (--apply does it)';
  return `${table}${formatSize(bytes)} of ${removed.length} images${also} ${done}${young}`;
}
