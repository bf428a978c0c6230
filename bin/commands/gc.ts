import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { isDigest, type Digest } from '../../lib/oci/descriptor.ts';
import { openImage } from '../../lib/oci/image.ts';
import { parseReference } from '../../lib/oci/reference.ts';
import { formatReleaseName, parseReleaseName, releaseNameOf } from '../../lib/oci/releasename.ts';
import { takeCensus, type Census } from '../../lib/retention/census.ts';
import { decide, shortName } from '../../lib/retention/policy.ts';
import { remove, type Outcome } from '../../lib/retention/removal.ts';
import { openStore } from '../../lib/store/open.ts';
import { parseInventory } from '../../producers/inventory.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { REGISTRY_OPTIONS } from '../registry.ts';
import { printResult, STORE_OPTION } from '../session.ts';

const USAGE = '--keep-last N | --inventory FILE [options]';
const HOUR = 3600 * 1000;

export const gcCommand: Command = {
  summary: 'Removes patches that nobody needs from the store; without --apply it only says which.',
  usage: USAGE,
  options: {
    'keep-last': {
      type: 'string',
      value: 'N',
      help: 'keep the N images that each repository was tagged with last (default: what names stand for)',
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
    const grace = parseGrace(args) * HOUR;
    const store = await openStore(args.text('store')!, { signal });
    const census = await takeCensus(store, signal);
    const retention = decide(census, {
      ...(keepLast !== undefined && { keepLast }),
      ...(inventory !== undefined && { inventory: await readHeld(inventory, census, args, signal) }),
      dropUnnamed: args.flag('unnamed'),
    });
    const applied = args.flag('apply');
    const outcome = await remove(store, retention, { grace, isReal: applied, signal });
    const bytes = outcome.removed.flatMap(({ objects }) => objects).reduce((sum, { size }) => sum + size, 0);
    printResult(
      args,
      { applied, bytes, kept: retention.kept, ...outcome },
      formatOutcome(outcome, census, bytes, applied),
    );
  },
};

function parseGrace(args: Arguments): number {
  const hours = Number(args.text('grace'));
  if (Number.isFinite(hours) && hours >= 0) return hours;
  throw new PanamaxError('usage', '--grace', { expected: 'a number of hours', found: args.text('grace')! });
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

function formatOutcome(
  { removed, names, left }: Outcome,
  census: Census,
  bytes: number,
  applied: boolean,
): string {
  const rows = removed.map(({ target, why, objects }) => {
    const patches = objects.filter(({ key }) => key.startsWith('patches/') && !key.endsWith('.json')).length;
    const size = objects.reduce((sum, object) => sum + object.size, 0);
    return [shortName(target, census.names), why, String(patches), String(objects.length), formatSize(size)];
  });
  const head = ['IMAGE', 'WHY', 'PATCHES', 'OBJECTS', 'SIZE'];
  const table = rows.length > 0 ? `${formatTable([head, ...rows], 2)}\n` : '';
  const also = names.length > 0 ? `, ${names.length} past records of names` : '';
  const young = left.length > 0 ? `; ${left.length} images left alone, too young` : '';
  const done = applied ? 'removed' : 'to be removed (--apply does it)';
  return `${table}${formatSize(bytes)} of ${removed.length} images${also} ${done}${young}`;
}
