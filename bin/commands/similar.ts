import type { StageContext } from '../../lib/run/context.ts';
import { createForest, createMemoryStorage, type SimilarityIndex } from '../../lib/pairing/forest.ts';
import { compareImages } from '../../lib/pairing/ranking.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { redisForest } from '../../lib/queue/forest.ts';
import type { Store } from '../../lib/store/store.ts';
import { loadSketch, rebuildIndex } from '../../workers/sketch.ts';
import { loadSignature, signatureStage } from '../../workers/signature.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { REDIS_OPTION } from '../queue.ts';
import { printResult, STORE_OPTION, withContext } from '../session.ts';

const USAGE = 'IMAGE [options]';

export const similarCommand: Command = {
  summary: 'Finds the images of the store that have most in common with IMAGE.',
  usage: USAGE,
  options: {
    count: { type: 'string', short: 'n', value: 'N', help: 'how many', default: '10' },
    explain: { type: 'boolean', help: 'compare with each: bytes in common, predicted patches' },
    ...REDIS_OPTION,
    rebuild: { type: 'boolean', help: 'first put all images of the store into the index in Redis' },
    ...STORE_OPTION,
    ...COMMON,
  },
  async run(args, signal) {
    operandCount(args, 1, 1, USAGE);
    await withContext(args, signal, (context) => similar(args, context));
  },
};

async function similar(args: Arguments, context: StageContext): Promise<void> {
  const { store, signal } = context;
  const count = args.count('count');
  const { manifest } = await signatureStage({ reference: args.operands[0]!, ...args.platform }, context);
  const sketch = await loadSketch(store, manifest);
  const find = async (index: SimilarityIndex) =>
    (await index.nearest(sketch, count + 1)).filter((one) => one.manifest !== manifest).slice(0, count);
  const neighbours = await withIndex(args, store, signal, find);
  const target = args.flag('explain') ? await loadSignature(store, manifest) : undefined;
  const found = [];
  for (const { manifest: source, similarity } of neighbours) {
    const candidate = target && compareImages(target, await loadSignature(store, source));
    found.push({ manifest: source, similarity, ...(candidate && { candidate }) });
  }
  const header = ['IMAGE', 'IN COMMON', ...(target ? ['IDENTICAL', 'CHANGED', 'NEW', 'XDELTA', 'PULL'] : [])];
  const rows = found.map(({ manifest: source, similarity, candidate: c }) => [
    source,
    `${(similarity * 100).toFixed(0)} %`,
    ...(c
      ? [c.identicalBytes, c.changedBytes, c.newBytes, c.predictedPatchSize, c.pullSize].map(formatSize)
      : []),
  ]);
  printResult(args, { target: manifest, similar: found }, formatTable([header, ...rows], 1));
}

/** The index in Redis where one is named; else one made of the store's sketches. */
async function withIndex<Result>(
  args: Arguments,
  store: Store,
  signal: AbortSignal,
  action: (index: SimilarityIndex) => Promise<Result>,
): Promise<Result> {
  const url = args.text('redis');
  if (url === undefined)
    return action(await rebuildIndex(createForest(createMemoryStorage()), store, signal));
  const connection = await connectProducer(url);
  try {
    const index = createForest(redisForest(connection));
    return await action(args.flag('rebuild') ? await rebuildIndex(index, store, signal) : index);
  } finally {
    connection.redis.disconnect();
  }
}
