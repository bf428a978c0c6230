import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import type { Digest } from '../../lib/oci/descriptor.ts';
import { pullSize } from '../../lib/oci/record.ts';
import { planPatches, type Budget, type PossiblePatch } from '../../lib/pairing/plan.ts';
import { isWorthIt } from '../../lib/pairing/ranking.ts';
import type { StageContext } from '../../lib/run/context.ts';
import type { PatchFormat } from '../../lib/store/layout.ts';
import { parseInventory } from '../../producers/inventory.ts';
import { pairingStage } from '../../workers/pairing.ts';
import { loadSignature, signatureStage } from '../../workers/signature.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { printResult, STORE_OPTION, withContext } from '../session.ts';

const USAGE = 'TARGET... --inventory FILE [options]';
const FORMATS: readonly PatchFormat[] = ['xdelta', 'oci-delta'];
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

export const planCommand: Command = {
  summary:
    'Tells which patches to TARGETs save most for the sites of an inventory, before anything is spent.',
  usage: USAGE,
  options: {
    inventory: { type: 'string', short: 'i', value: 'FILE', help: 'YAML: sites: { NAME: [IMAGE, ...] }' },
    budget: {
      type: 'string',
      value: 'N|TIME',
      help: 'at most N patches, or so much processor time: 90s, 30m, 2h',
      default: '100',
    },
    format: { type: 'string', value: 'FORMAT', help: FORMATS.join(' or '), default: 'xdelta' },
    ...STORE_OPTION,
    ...COMMON,
  },
  async run(args, signal) {
    operandCount(args, 1, Infinity, USAGE);
    await withContext(args, signal, (context) => plan(args, context));
  },
};

async function plan(args: Arguments, context: StageContext): Promise<void> {
  const { store } = context;
  const path = args.text('inventory');
  if (path === undefined) throw new PanamaxError('usage', 'no inventory', { expected: USAGE });
  const budget = parseBudget(args.text('budget')!);
  const format = FORMATS.find((one) => one === args.text('format'));
  if (!format) {
    throw new PanamaxError('usage', '--format', {
      expected: FORMATS.join(', '),
      found: args.text('format')!,
    });
  }
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  const residents = parseInventory(text, path);

  const manifests = new Map<string, Digest>();
  const references = new Map<string, string>();
  for (const reference of [...args.operands, ...residents.flatMap(({ images }) => images)]) {
    if (manifests.has(reference)) continue;
    const { manifest } = await signatureStage({ reference, ...args.platform }, context);
    manifests.set(reference, manifest);
    if (!references.has(manifest)) references.set(manifest, reference);
  }
  const sources = [...new Set(residents.flatMap(({ images }) => images.map((one) => manifests.get(one)!)))];
  const pullSizes = new Map<string, number>();
  const possible: PossiblePatch[] = [];
  for (const reference of args.operands) {
    const target = manifests.get(reference)!;
    if (pullSizes.has(target)) continue;
    pullSizes.set(target, pullSize((await loadSignature(store, target)).image));
    for (const candidate of (await pairingStage({ target, sources }, context)).candidates) {
      const { size, seconds } = candidate.predictions[format];
      // a source that is not worth a patch still shares layers
      const patchSize = isWorthIt(candidate) ? size : Infinity;
      possible.push({ source: candidate.source, target, size: patchSize, seconds, pull: candidate.pullSize });
    }
  }
  const sets = residents.map(({ images, sites }) => ({
    images: images.map((one) => manifests.get(one)!),
    sites: sites?.length ?? 1,
  }));
  const { patches, seconds, bytes } = planPatches(sets, pullSizes, possible, budget);
  const named = patches.map((patch) => ({
    ...patch,
    source: references.get(patch.source)!,
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
    `${named.length} patches, ${seconds.toFixed(0)} s of processor time: ` +
    `${formatSize(bytes.withPatches)} over all links instead of ${formatSize(bytes.withoutPatches)}`;
  printResult(args, { format, patches: named, seconds, bytes }, `${table}\n${summary}`);
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
