import type { Digest } from '../lib/digest.ts';

/** Benchmark of the order in which a worker takes the pairs of a run. See `--help`. */
import { access, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { EFFORTS, type Effort } from '../lib/delta/align/alignment.ts';
import { PanamaxError } from '../lib/errors.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { createForest, createMemoryStorage } from '../lib/pairing/forest.ts';
import type { StageContext } from '../workers/context.ts';
import { createLayerCache, type LayerCache } from '../workers/resources/layercache.ts';
import { createMemory, defaultMemorySize } from '../workers/resources/memory.ts';
import { items } from '../lib/run/request.ts';
import { createScratch } from '../lib/runtime/scratch.ts';
import { openDirectoryStore } from '../lib/store/objects/directory.ts';
import { deltaStage } from '../workers/delta/stage.ts';
import { pairingStage } from '../workers/pairing/stage.ts';
import { loadImage } from '../workers/signature/load.ts';
import { signatureStage } from '../workers/signature/stage.ts';
import { parseSize } from '../bin/format.ts';
import { runCommand } from './command.ts';

const HELP = `Measures the order of pairs: bytes unpacked and time taken by one worker with its cache of layers.

Usage: npm run bench:order -- LAYOUT... [options]

Each image gets patches from the best of the others, one at a time: as the rankings end (target by target), by source, as
the queue has them, and shuffled. Figures are printed as Markdown.

  --top K             patches for each image (default: 3)
  --scratch-size SIZE of the worker; repeatable (default: 1500M)
  --unpack-only       unpack the same layers, but make no patches (most of the time)
  --effort EFFORT     ${EFFORTS.join(', ')} (default: fast)
  --dir DIR           directory of the store and of scratch (default: TMPDIR)
`;

interface Pair {
  readonly item: string;
  readonly target: Named;
  readonly source: Named;
  readonly predicted: number;
}

interface Named {
  readonly manifest: Digest;
  readonly reference: string;
}

/** Totals of unpacking so far, in layers. */
interface Unpacked {
  count: number;
  /** Compressed and uncompressed bytes. */
  fetched: number;
  written: number;
  seconds: number;
}

async function main(argv: readonly string[]): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      top: { ...text, default: '3' },
      'scratch-size': { ...text, multiple: true, default: ['1500M'] },
      effort: { ...text, default: 'fast' },
      'unpack-only': { type: 'boolean', default: false },
      dir: { ...text, default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  if (positionals.length < 2) throw new PanamaxError('usage', 'no images', { expected: HELP });
  for (const layout of positionals) await access(layout);
  await using scratch = await createScratch(join(values.dir, 'order'));
  const store = join(scratch.path, 'store');
  const pairs = await withContext(scratch.path, store, 64e9, (context) =>
    rank(positionals, Number(values.top), context),
  );
  const orders: Readonly<Record<string, readonly Pair[]>> = {
    'target by target': pairs,
    'by source': pairs.toSorted((a, b) => (a.item < b.item ? -1 : 1)),
    shuffled: shuffled(pairs),
  };
  process.stdout.write('| Scratch | Order | Layers unpacked | Fetched | Written | Unpacking | Total |\n');
  process.stdout.write('| --- | --- | --- | --- | --- | --- | --- |\n');
  for (const size of values['scratch-size']) {
    for (const [order, ordered] of Object.entries(orders)) {
      for (const made of ['patches', 'index']) await rm(join(store, made), { recursive: true, force: true });
      const started = performance.now();
      const unpacked = await withContext(scratch.path, store, parseSize(size, '--scratch-size'), (context) =>
        makeAll(ordered, values['unpack-only'] ? undefined : (values.effort as Effort), context),
      );
      const seconds = (performance.now() - started) / 1000;
      const figures = [
        `${unpacked.count} for ${ordered.length} pairs`,
        `${(unpacked.fetched / 1e6).toFixed(0)} MB`,
        `${(unpacked.written / 1e6).toFixed(0)} MB`,
        `${unpacked.seconds.toFixed(1)} s`,
        `${seconds.toFixed(0)} s`,
      ];
      process.stdout.write(`| ${[size, order, ...figures].join(' | ')} |\n`);
    }
  }
}

async function withContext<Result>(
  directory: string,
  store: string,
  scratchSize: number,
  action: (context: StageContext) => Promise<Result>,
): Promise<Result> {
  const scratch = join(directory, 'jobs');
  await mkdir(scratch, { recursive: true });
  await using layers = createLayerCache(join(directory, 'layers'), scratchSize);
  return await action({
    store: await openDirectoryStore(store),
    log: { info() {}, warn() {} },
    signal: new AbortController().signal,
    limits: DEFAULT_LIMITS,
    scratch,
    layers,
    memory: createMemory(defaultMemorySize()),
    similar: createForest(createMemoryStorage()),
  });
}

/** The pairs in the order in which rankings add them. */
async function rank(layouts: readonly string[], top: number, context: StageContext): Promise<Pair[]> {
  const images: Named[] = [];
  for (const reference of layouts) {
    images.push({ reference, manifest: (await signatureStage({ reference }, context)).manifest });
    process.stderr.write(`${basename(reference)} signed\n`);
  }
  const referenceOf = new Map(images.map(({ manifest, reference }) => [manifest, reference]));
  const pairs: Pair[] = [];
  for (const target of images) {
    const sources = images.map(({ manifest }) => manifest);
    const { candidates } = await pairingStage({ target: target.manifest, sources }, context);
    for (const { source, predictedPatchSize } of candidates.slice(0, top)) {
      const named = { manifest: source, reference: referenceOf.get(source)! };
      const item = items.delta(target.manifest, source);
      pairs.push({ item, target, source: named, predicted: predictedPatchSize });
    }
  }
  return pairs;
}

/** @param effort without one, a pair ends when its images are unpacked */
async function makeAll(
  pairs: readonly Pair[],
  effort: Effort | undefined,
  context: StageContext,
): Promise<Unpacked> {
  const unpacked: Unpacked = { count: 0, fetched: 0, written: 0, seconds: 0 };
  const compressed = new Map<Digest, number>();
  for (const { target, source } of pairs) {
    for (const { manifest } of [target, source]) {
      const { layers } = await loadImage(context.store, manifest);
      for (const { diffID, pullSize } of layers) compressed.set(diffID, pullSize);
    }
  }
  const layers: LayerCache = {
    ...context.layers,
    async lease(request) {
      const lease = await context.layers.lease({
        ...request,
        images: request.images.map((image) => ({
          ...image,
          async unpack(missing, onLayer, signal) {
            const started = performance.now();
            await image.unpack(missing, onLayer, signal);
            unpacked.seconds += (performance.now() - started) / 1000;
            unpacked.count += missing.length;
            for (const { diffID, size } of missing) {
              unpacked.fetched += compressed.get(diffID)!;
              unpacked.written += size;
            }
          },
        })),
      });
      if (effort !== undefined) return lease;
      lease[Symbol.dispose]();
      throw new EnoughError();
    },
  };
  for (const { target, source, predicted } of pairs) {
    const input = {
      sources: [source],
      target,
      formats: ['xdelta'] as const,
      effort: effort ?? 'fast',
      predictedPatchSize: predicted,
    };
    await deltaStage(input, { ...context, layers }).catch((error: unknown) => {
      if (!(error instanceof EnoughError)) throw error;
    });
  }
  return unpacked;
}

/** Thrown to end a pair when its images are unpacked. */
class EnoughError extends Error {}

/** Shuffles with a fixed seed. */
function shuffled<Item>(list: readonly Item[]): Item[] {
  const result = [...list];
  let state = 1;
  for (let i = result.length - 1; i > 0; i--) {
    state = (state * 48_271) % 2_147_483_647;
    const j = state % (i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

await runCommand(main);
