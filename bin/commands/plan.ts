import { findFormat, formatNames } from '../../lib/delta/formats.ts';
import type { Digest } from '../../lib/digest.ts';
import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { pullSize } from '../../lib/image/record.ts';
import {
  planPatches,
  type Budget,
  type ExistingPatch,
  type PossiblePatch,
} from '../../lib/pairing/workplan.ts';
import { predictionOf } from '../../lib/pairing/prediction.ts';
import { isWorthIt, type Candidate } from '../../lib/pairing/ranking.ts';
import type { StageContext } from '../../workers/context.ts';
import { readIndex } from '../../lib/store/targetindex.ts';
import { parseInventory } from '../../producers/question/inventory.ts';
import { loadCalibrations } from '../../workers/pairing/calibration.ts';
import { createComparisons } from '../../workers/pairing/comparisons.ts';
import { pairingStage } from '../../workers/pairing/stage.ts';
import { loadSignature, signatureStage } from '../../workers/signature/stage.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { FORMAT_OPTION } from '../options/delta.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, STORE_OPTION, withContext } from '../options/session.ts';

const USAGE = 'TARGET... --inventory FILE [options]';
/** Sets, those of most sites, of which several images together are tried as one source. */
const MOST_COMBINED_SETS = 50;
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
    ...FORMAT_OPTION,
    ...STORE_OPTION,
    ...REGISTRY_OPTIONS,
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
  const format = findFormat(args.text('format'))?.name;
  if (format === undefined) {
    throw new PanamaxError('usage', '--format', {
      expected: formatNames().join(', '),
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
  const sets = residents.map(({ images, sites }) => ({
    images: images.map((one) => manifests.get(one)!),
    sites: sites?.length ?? 1,
  }));
  const together = sets
    .filter(({ images }) => images.length > 1)
    .toSorted((a, b) => b.sites - a.sites)
    .slice(0, MOST_COMBINED_SETS);
  const calibrations = await loadCalibrations(store);
  const pullSizes = new Map<string, number>();
  const possible = new Map<string, PossiblePatch>();
  for (const reference of args.operands) {
    const target = manifests.get(reference)!;
    if (pullSizes.has(target)) continue;
    pullSizes.set(target, pullSize((await loadSignature(store, target)).image));
    // most sources are in several of the sets
    const comparisons = createComparisons(store, target, calibrations);
    const { candidates } = await pairingStage({ target, sources }, context, comparisons);
    const combined: Candidate[] = [];
    for (const { images } of together) {
      if (images.includes(target)) continue;
      const ranking = await pairingStage({ target, sources: images, together: true }, context, comparisons);
      combined.push(...ranking.candidates.filter((candidate) => candidate.images));
    }
    for (const candidate of [...candidates, ...combined]) {
      const { source, images, pullSize: pull, predictions } = candidate;
      const { size, seconds } = predictionOf(predictions, format);
      possible.set(`${target} ${source}`, {
        source,
        ...(images && { images }),
        target,
        // a source that is not worth a patch still shares layers
        size: isWorthIt(candidate, [format]) ? size : Infinity,
        seconds,
        pull,
      });
    }
  }
  const existing: ExistingPatch[] = [];
  for (const target of new Set([...pullSizes.keys(), ...sources] as Digest[])) {
    for (const { source, size, format: made } of (await readIndex(store, target))?.patches ?? []) {
      const images = source.images && { images: source.images };
      if (made === format) existing.push({ source: source.manifest, ...images, target, size });
    }
  }
  const { patches, seconds, bytes } = planPatches(sets, pullSizes, [...possible.values()], budget, existing);
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
    `${named.length} ${named.length === 1 ? 'patch' : 'patches'}, ${seconds.toFixed(0)} s of processor time: ` +
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
