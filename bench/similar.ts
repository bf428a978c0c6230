/** Benchmark of the similarity index over synthetic catalogues. See `--help`. */
import { parseArgs } from 'node:util';
import { PanamaxError } from '../lib/errors.ts';
import { createForest, type IndexedImage } from '../lib/pairing/forest.ts';
import { connectProducer, type Connection } from '../lib/queue/connection.ts';
import { redisForest } from '../lib/queue/similarity.ts';
import { runCommand } from './command.ts';
import { makeCatalogue, sketchOfItems, trueSimilarity, type MadeImage } from './catalogue.ts';

const QUERIES = 200;
/** Number of queries, spread over the catalogue. */
const LEAST = 8 * QUERIES;
const NEAREST = 10;
/** Candidates per query, as many as an exact ranking compares. */
const CANDIDATES = 64;
const BATCH = 1000;

const HELP = `Measures the similarity index over synthetic catalogues of images: memory, query time and recall.

Usage: npm run bench:similar -- REDIS-URL [SIZE...]

REDIS-URL is an empty Redis, which is wiped. SIZE is the number of images in a catalogue, at least ${LEAST} (default: 10000
100000 1000000).
`;

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return void process.stdout.write(HELP);
  const [url, ...texts] = positionals;
  const sizes = texts.map(Number);
  if (url === undefined || !sizes.every((size) => Number.isSafeInteger(size) && size >= LEAST)) {
    throw new PanamaxError('usage', 'not a Redis URL and sizes of catalogues', { expected: HELP });
  }
  const connection = await connectProducer(url, { name: 'made up' });
  const { redis } = connection;
  process.stdout.write(
    '| images | added | bytes of Redis per image | query, median | p99 | of the true ten nearest |\n',
  );
  process.stdout.write('| ---: | ---: | ---: | ---: | ---: | ---: |\n');
  for (const size of sizes.length > 0 ? sizes : [10_000, 100_000, 1_000_000]) {
    await redis.flushall('SYNC');
    const before = await usedMemory(connection);
    const index = createForest(redisForest(connection));
    const started = performance.now();
    const queries: MadeImage[] = [];
    let batch: IndexedImage[] = [];
    let number = 0;
    for (const image of makeCatalogue(size)) {
      if (number++ % Math.floor(size / QUERIES) === 7) queries.push(image);
      batch.push({ manifest: image.manifest, sketch: sketchOfItems(image.items) });
      if (batch.length < BATCH) continue;
      await index.add(batch);
      batch = [];
    }
    await index.add(batch);
    const added = (performance.now() - started) / 1000;
    const memory = ((await usedMemory(connection)) - before) / size;
    const nearest = trueNearest(queries, size);
    // the first queries warm up the compiler
    for (const { items } of queries) await index.nearest(sketchOfItems(items), CANDIDATES);
    const times: number[] = [];
    let found = 0;
    let wanted = 0;
    for (const { manifest, items } of queries) {
      const sketch = sketchOfItems(items);
      const asked = performance.now();
      const neighbours = await index.nearest(sketch, CANDIDATES);
      times.push(performance.now() - asked);
      const got = new Set(neighbours.map((neighbour) => neighbour.manifest));
      for (const one of nearest.get(manifest)!) {
        wanted++;
        if (got.has(one as `sha256:${string}`)) found++;
      }
    }
    times.sort((a, b) => a - b);
    const ms = (share: number) => `${times[Math.floor(times.length * share)]!.toFixed(1)} ms`;
    const recall = `${((100 * found) / wanted).toFixed(1)} %`;
    process.stdout.write(
      `| ${size} | ${added.toFixed(0)} s | ${memory.toFixed(0)} | ${ms(0.5)} | ${ms(0.99)} | ${recall} |\n`,
    );
  }
  await redis.flushall('SYNC');
  redis.disconnect();
}

/** The true nearest images of each query, by exact comparison with every image. */
function trueNearest(queries: readonly MadeImage[], size: number): Map<string, string[]> {
  // an index of the queries' items skips images without a common item, which cannot be neighbours
  const owners = new Map<number, number[]>();
  for (const [q, { items }] of queries.entries()) {
    for (const item of items.keys()) {
      const list = owners.get(item);
      if (list) list.push(q);
      else owners.set(item, [q]);
    }
  }
  const best = queries.map(() => [] as { manifest: string; similarity: number }[]);
  for (const image of makeCatalogue(size)) {
    const touched = new Set<number>();
    for (const item of image.items.keys()) for (const q of owners.get(item) ?? []) touched.add(q);
    for (const q of touched) {
      const { manifest, items } = queries[q]!;
      if (manifest === image.manifest) continue;
      const similarity = trueSimilarity(items, image.items);
      const list = best[q]!;
      if (list.length >= NEAREST && similarity <= list.at(-1)!.similarity) continue;
      list.push({ manifest: image.manifest, similarity });
      list.sort((a, b) => b.similarity - a.similarity);
      list.length = Math.min(list.length, NEAREST);
    }
  }
  return new Map(queries.map(({ manifest }, q) => [manifest, best[q]!.map((one) => one.manifest)]));
}

async function usedMemory({ redis }: Connection): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))![1]);
}

await runCommand(main);
