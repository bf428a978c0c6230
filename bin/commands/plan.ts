import { findFormat, formatNames } from '../../lib/delta/formats.ts';
import type { Digest } from '../../lib/digest.ts';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { planPatches, type Budget } from '../../lib/pairing/workplan.ts';
import type { StageContext } from '../../workers/context.ts';
import { findExistingPatches, findPossiblePatches } from '../../workers/pairing/possiblepatches.ts';
import { signatureStage } from '../../workers/signature/stage.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { formatCount, formatSize, formatTable } from '../format.ts';
import { FORMAT_OPTION } from '../options/delta.ts';
import { readInventory } from '../options/inventory.ts';
import { refuseFailures } from '../options/queue.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, STORE_OPTIONS, withContext } from '../options/session.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

export const planCommand: Command = {
  summary: 'Predicts which patches to each TARGET save most bytes for the sites of an inventory.',
  operands: ['TARGET...'],
  options: {
    inventory: {
      type: 'string',
      short: 'i',
      value: 'FILE',
      required: true,
      env: true,
      help: 'YAML file: sites: { NAME: [IMAGE, ...] }',
    },
    budget: {
      type: 'string',
      value: 'N|TIME',
      help: 'at most N patches, or a limit of processor time: 90s, 30m, 2h',
      default: '100',
    },
    ...FORMAT_OPTION,
    ...STORE_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    await withContext(args, signal, (context) => plan(args, context));
  },
};

async function plan(args: Arguments, context: StageContext): Promise<void> {
  const path = args.text('inventory')!;
  const budget = parseBudget(args.text('budget')!);
  const format = findFormat(args.text('format'))?.name;
  if (format === undefined) {
    throw new PanamaxError('usage', '--format', {
      expected: formatNames().join(', '),
      found: args.text('format')!,
    });
  }
  const inventory = await readInventory(path);

  // one signature per image; the first reference to an image names it in the result
  const manifests = new Map<string, Digest>();
  const references = new Map<string, string>();
  async function sign(reference: string): Promise<void> {
    if (manifests.has(reference)) return;
    const { manifest } = await signatureStage({ reference, ...args.platform }, context);
    manifests.set(reference, manifest);
    if (!references.has(manifest)) references.set(manifest, reference);
  }
  for (const target of args.operands) await sign(target);
  // an image that cannot be read is no source, and takes none of the others along
  const failed = new Map<string, PanamaxError>();
  for (const reference of new Set(inventory.flatMap(({ images }) => images))) {
    await sign(reference).catch((error: unknown) => {
      context.signal.throwIfAborted();
      failed.set(reference, toPanamaxError(error));
    });
  }
  const manifestOf = (reference: string) => manifests.get(reference)!;

  const targets = new Set(args.operands.map(manifestOf));
  const sets = inventory.map(({ images, sites }) => ({
    images: images.filter((image) => manifests.has(image)).map(manifestOf),
    sites: sites?.length ?? 1,
  }));
  const { possible, pullSizes } = await findPossiblePatches(targets, sets, format, context);
  const images = new Set([...targets, ...sets.flatMap((set) => set.images)]);
  const existing = await findExistingPatches(images, format, context.store);
  const { patches, seconds, bytes } = planPatches(sets, pullSizes, possible, budget, existing);

  const named = patches.map((patch) => ({
    ...patch,
    source: (patch.images ?? [patch.source]).map((image) => references.get(image)!).join(' + '),
    target: references.get(patch.target)!,
  }));
  const rows = named.map((one) => [
    one.target,
    one.source,
    String(one.sites),
    formatSize(one.size),
    formatSize(one.saves),
    `${one.seconds.toFixed(1)} s`,
  ]);
  const table = formatTable([['TARGET', 'SOURCE', 'SITES', 'PATCH', 'SAVES', 'CPU'], ...rows], 2);
  const summary =
    `${formatCount(named.length, 'patch', 'patches')}, ${seconds.toFixed(0)} s of processor time: ` +
    `${formatSize(bytes.withPatches)} over all links instead of ${formatSize(bytes.withoutPatches)}`;
  const failures = [...failed].map(([what, { kind, message }]) => ({ what, error: { kind, message } }));
  printResult(args, { format, patches: named, seconds, bytes, failures }, `${table}\n${summary}`);
  refuseFailures({ failures });
}

/** @throws PanamaxError `usage` */
function parseBudget(text: string): Budget {
  const [, number, unit] = /^(\d{1,9})([smh]?)$/.exec(text) ?? [];
  if (number === undefined || Number(number) === 0) {
    throw new PanamaxError('usage', '--budget', {
      expected: 'a number, or a time as 90s, 30m or 2h',
      found: text,
    });
  }
  return unit ? { seconds: Number(number) * UNITS[unit]! } : { pairs: Number(number) };
}
