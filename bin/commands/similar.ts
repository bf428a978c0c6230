import type { StageContext } from '../../workers/context.ts';
import { keys } from '../../lib/store/keys.ts';
import { namesOf } from '../../lib/store/name.ts';
import { loadCalibrations } from '../../workers/pairing/calibration.ts';
import { loadSketch, rebuildIndex } from '../../workers/pairing/similar.ts';
import { createComparisons } from '../../workers/pairing/comparisons.ts';
import { signatureStage } from '../../workers/signature/stage.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { findRedisUrl, REDIS_OPTION, withRedisIndex } from '../options/queue.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, STORE_OPTIONS, withContext } from '../options/session.ts';

export const similarCommand: Command = {
  summary: 'Finds the images of the store that are most similar to IMAGE.',
  operands: ['IMAGE'],
  options: {
    count: { type: 'string', short: 'n', value: 'N', help: 'number of images', default: '10' },
    explain: { type: 'boolean', help: 'compare IMAGE with each: bytes in common, predicted patches' },
    ...REDIS_OPTION,
    ...STORE_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    await withContext(args, signal, async (context) => {
      const url = findRedisUrl(args);
      if (url === undefined) {
        await rebuildIndex(context.similar, context.store, signal);
        return similar(args, context);
      }
      await withRedisIndex(url, context.store, (index) => similar(args, { ...context, similar: index }));
    });
  },
};

async function similar(args: Arguments, context: StageContext): Promise<void> {
  const { store } = context;
  const count = args.count('count');
  const { manifest } = await signatureStage({ reference: args.operands[0]!, ...args.platform }, context);
  const nearest = await context.similar.nearest(await loadSketch(store, manifest), 2 * count + 1);
  const target = args.flag('explain')
    ? createComparisons(store, manifest, await loadCalibrations(store))
    : undefined;
  const found = [];
  for (const { manifest: source, similarity } of nearest) {
    if (source === manifest || found.length === count) continue;
    if (!(await store.stat(keys.signature(source)))) {
      // the image was removed from the store since, for example by gc
      await context.similar.remove(source);
      continue;
    }
    const candidate = target && (await target.compare([source])).candidate;
    found.push({ manifest: source, similarity, ...(candidate && { candidate }) });
  }
  const names = await namesOf(store, new Set(found.map((one) => one.manifest)), context.signal);
  const named = found.map((one) => {
    const name = names.get(one.manifest);
    return { ...(name !== undefined && { name }), ...one };
  });
  const header = ['IMAGE', 'IN COMMON', ...(target ? ['IDENTICAL', 'CHANGED', 'NEW', 'PATCH', 'PULL'] : [])];
  const rows = named.map(({ name, manifest: source, similarity, candidate: c }) => [
    name ?? source,
    `${(similarity * 100).toFixed(0)} %`,
    ...(c
      ? [c.identicalBytes, c.changedBytes, c.newBytes, c.predictedPatchSize, c.pullSize].map(formatSize)
      : []),
  ]);
  printResult(args, { target: manifest, similar: named }, formatTable([header, ...rows], 1));
}
