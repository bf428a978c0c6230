/** Benchmark of backfills of many images: signatures, rankings, and how rankings scale. See `--help`. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { PanamaxError } from '../lib/errors.ts';
import { openImage, type Image } from '../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../lib/limits.ts';
import { compareImages } from '../lib/pairing/ranking.ts';
import { createForest, createMemoryStorage } from '../lib/pairing/forest.ts';
import type { Profile } from '../lib/pairing/signature/profile.ts';
import { parseProfile, viewProfile } from '../lib/pairing/signature/stored.ts';
import { asTarget } from '../lib/pairing/target.ts';
import { createLayerCache } from '../workers/resources/layercache.ts';
import { createMemory } from '../workers/resources/memory.ts';
import { MOST_COMPARED, pairingStage } from '../workers/pairing/stage.ts';
import { runCommand } from './command.ts';
import { measureBackfills } from './backfills.ts';
import { measureQueue } from './queued.ts';
import type { ManyImages } from './manyimages.ts';
import { makeStore, type SeedImage } from './madestore.ts';
import { measureSigning, processorSeconds, type Signing } from './signing.ts';

const HELP = `Measures signatures and rankings of a directory of OCI layouts, one image each.

Usage: npm run bench:scale -- CORPUS [options]

  --before DIR    a checkout of another version, with its dependencies: the same is measured with it (default: recorded
                  figures of the version before signatures were columns, on two cores beside other work)
  --targets N     targets that are ranked in each store (default: 40)
  --sizes N,N...  images in the stores (default: 100,1000,10000)
  --images N      images of a run that is planned and reported (default: 1000000, which takes eight minutes of processor time)
  --only-images   only measures that run, and needs no corpus
  --only-queue    only measures the queue, and needs no corpus
  --only-signing only measures signatures
  --backfill N    images of a backfill, embedded and on a queue (default: 20)
  --only-backfill only measures that backfill

Times are of the processor, and of all threads, where no other is said.
`;

/**
 * Milliseconds to read a source's signature and to compare, and processor time of signing over that of `gzip -dc LAYERS | sha256sum`:
 * measured at the last commit with signatures in JSON, over the 15 images of the development corpus.
 */
const RECORDED = { pair: 299.5, signing: 2.27 };

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      before: { type: 'string' },
      targets: { type: 'string', default: '40' },
      sizes: { type: 'string', default: '100,1000,10000' },
      images: { type: 'string', default: '1000000' },
      'only-images': { type: 'boolean', default: false },
      'only-queue': { type: 'boolean', default: false },
      'only-signing': { type: 'boolean', default: false },
      backfill: { type: 'string', default: '20' },
      'only-backfill': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [corpus] = positionals;
  if (values.help) return void process.stdout.write(HELP);
  const sizes = values.sizes.split(',').map(Number);
  const targets = Number(values.targets);
  const images = Number(values.images);
  if (values['only-images']) return measureManyImages(images);
  if (values['only-queue']) return printQueue();
  const backfilled = Number(values.backfill);
  if (corpus === undefined || ![targets, images, backfilled, ...sizes].every(Number.isSafeInteger))
    throw new PanamaxError('usage', 'no corpus, or not a number', { expected: HELP });
  const layouts = (await readdir(corpus, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => join(corpus, name));

  if (values['only-backfill']) return printBackfills(layouts, backfilled);
  if (values['only-signing']) return printSigning(await measureSigning(layouts), RECORDED.signing);
  const signing = await measureSigning(layouts);
  const pair = await measurePairs(signing.seeds);
  const before =
    values.before === undefined
      ? RECORDED
      : await measureBefore(values.before, layouts, signing.gunzipSeconds);
  print('| | before | after |', '| --- | ---: | ---: |');
  const row = (name: string, after: number) =>
    print(`| ranking, per pair, ${name} | ${before.pair.toFixed(1)} ms | ${after.toFixed(1)} ms |`);
  row('source not in memory', pair.reading + pair.comparing);
  row('source in memory', pair.comparing);
  print('');
  printSigning(signing, before.signing);

  print(
    `Stores of made-up images. Each target is compared with its ${MOST_COMPARED} nearest images.`,
    '',
    '| images | pairs | per pair | requests per pair | 1,000 targets × 64 sources |',
    '| ---: | ---: | ---: | ---: | ---: |',
  );
  for (const size of sizes) await measureStore(signing.seeds, size, targets);
  await measureManyImages(images);
  await printQueue();
  await printBackfills(layouts, backfilled);
}

/** @param before processor time of signing over that of `gzip -dc LAYERS | sha256sum` */
function printSigning(signing: Signing, before: number): void {
  const { layers, gunzipSeconds, processorSeconds: processor, wallSeconds, onceSeconds, size } = signing;
  const each = `each layer read once (${layers.read} of ${layers.all})`;
  const row = (name: string, seconds: number) => {
    const perGB = (seconds / (size / 1e9)).toFixed(1);
    print(`| ${name} | ${perGB} s | ${(seconds / gunzipSeconds).toFixed(2)} |`);
  };
  print('| signatures | per GB of compressed layers | over `gzip` |', '| --- | ---: | ---: |');
  row('`gzip -dc LAYERS \\| sha256sum` on one core', gunzipSeconds);
  row('before, processor time', before * gunzipSeconds);
  row('after, processor time', processor);
  row('after, wall time', wallSeconds);
  row(`after, processor time, ${each}`, onceSeconds);
}

/** Figures of the queue with stages that do nothing, and a real Redis. */
async function printQueue(): Promise<void> {
  const { requestsPerPair, urgent, normal } = await measureQueue();
  print(
    '',
    'The queue, with stages that do nothing:',
    '',
    '| | |',
    '| --- | ---: |',
    `| requests to the store for the record of a run, per further pair | ${requestsPerPair.toFixed(2)} |`,
    `| pairs of a bulk run before an urgent pair, in the median | ${urgent} |`,
    `| the same without \`--priority high\` | ${normal} |`,
  );
}

/** Prints figures of real backfills: the queue's own processor time, and the time that a second worker saves. */
async function printBackfills(layouts: readonly string[], count: number): Promise<void> {
  const { images, embedded, queued } = await measureBackfills(layouts, count, [1, 2]);
  print(
    '',
    `A backfill of ${images} images (\`xdelta\`, effort \`fast\`), one job at a time in each process:`,
    '',
    '| | processor time | over embedded | wall time | memory of a process |',
    '| --- | ---: | ---: | ---: | ---: |',
  );
  for (const [name, usage] of [['embedded', embedded] as const, ...queued]) {
    const { cpuSeconds, wallSeconds, peakMemory } = usage;
    const title = typeof name === 'string' ? name : `queue, ${name === 1 ? 'one worker' : `${name} workers`}`;
    const share = (cpuSeconds / embedded.cpuSeconds).toFixed(2);
    const megabytes = (peakMemory / 1e6).toFixed(0);
    print(
      `| ${title} | ${cpuSeconds.toFixed(0)} s | ${share} | ${wallSeconds.toFixed(0)} s | ${megabytes} MB |`,
    );
  }
}

/** Bound on the heap of that process in MiB: without it Node collects garbage late, and the peak says little. */
const HEAP = 640;

/** Plans and reports a run in a process of its own, whose memory is measured. */
async function measureManyImages(count: number): Promise<void> {
  const script = join(import.meta.dirname, 'manyimages.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [
    `--max-old-space-size=${HEAP}`,
    script,
    String(count),
  ]);
  const { images, pairs, seconds, peakBytes, requestsPerPair } = JSON.parse(stdout) as ManyImages;
  print(
    '',
    'A run whose stages do nothing, planned and reported by one process, with the made-up store:',
    '',
    '| images | pairs | processor time | memory at most | requests of the coordinator per pair |',
    '| ---: | ---: | ---: | ---: | ---: |',
    `| ${images} | ${pairs} | ${seconds.toFixed(0)} s | ${(peakBytes / 1e6).toFixed(0)} MB | ${requestsPerPair.toFixed(2)} |`,
  );
}

/** Every ordered pair, in one thread: the second of two rounds counts, when the code has been compiled. */
async function measurePairs(seeds: readonly SeedImage[]) {
  let [reading, comparing] = [0, 0];
  for (let round = 0; round < 2; round++) {
    const profiles: Profile[] = [];
    reading = await processorSeconds(async () => {
      for (const { bytes } of seeds) profiles.push(viewProfile(parseProfile(bytes, 'bench')));
    });
    comparing = await processorSeconds(async () => {
      for (const profile of profiles) {
        const target = asTarget(profile);
        for (const source of profiles) compareImages(target, source);
      }
    });
  }
  return { reading: (reading / seeds.length) * 1e3, comparing: (comparing / seeds.length ** 2) * 1e3 };
}

/** The modules of the version before that are used here. */
interface Before {
  computeSignature(image: Image, scratch: string, bounds: typeof limits): Promise<unknown>;
  serializeSignature(signature: unknown): Promise<Buffer>;
  parseSignature(bytes: Buffer, where: string): Promise<unknown>;
  compareImages(target: unknown, source: unknown): unknown;
}

async function measureBefore(
  directory: string,
  layouts: readonly string[],
  least: number,
): Promise<typeof RECORDED> {
  const load = async (path: string) =>
    (await import(pathToFileURL(resolve(directory, 'lib/pairing', path)).href)) as Partial<Before>;
  const parts = await Promise.all(['signature/compute.ts', 'signature/signature.ts', 'ranking.ts'].map(load));
  const before = Object.assign({}, ...parts) as Before;
  const scratch = await mkdtemp(join(tmpdir(), 'panamax-scale-'));
  try {
    const stored: Buffer[] = [];
    let signing = 0;
    for (const layout of layouts) {
      const image = await openImage({ transport: 'oci', path: layout }, { limits });
      signing += await processorSeconds(async () => {
        const signature = await before.computeSignature(image, join(scratch, 'stream'), limits);
        stored.push(await before.serializeSignature(signature));
      });
    }
    const seconds = await processorSeconds(async () => {
      const target = await before.parseSignature(stored[0]!, 'bench');
      for (const bytes of stored) before.compareImages(target, await before.parseSignature(bytes, 'bench'));
    });
    return { pair: (seconds / stored.length) * 1e3, signing: signing / least };
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** Ranks successive images as a backfill does. */
async function measureStore(seeds: readonly SeedImage[], count: number, most: number): Promise<void> {
  const store = makeStore(seeds, count);
  const similar = createForest(createMemoryStorage());
  await similar.add(store.images);
  const scratch = await mkdtemp(join(tmpdir(), 'panamax-scale-'));
  await using layers = createLayerCache(join(scratch, 'layers'), 1e9);
  const context = {
    store,
    layers,
    similar,
    scratch,
    limits,
    signal: new AbortController().signal,
    memory: createMemory(8 * 1024 ** 3),
    log: { info() {}, warn() {} },
  };
  const sources = store.images.map(({ manifest }) => manifest);
  let pairs = 0;
  const { get, stat, put, list } = { ...store.requests };
  const seconds = await processorSeconds(async () => {
    for (const target of sources.slice(0, most)) {
      const { candidates } = await pairingStage({ target, sources }, context);
      pairs += candidates.length;
    }
  });
  await rm(scratch, { recursive: true });
  const { requests } = store;
  const asked = requests.get + requests.stat + requests.put + requests.list - get - stat - put - list;
  const minutes = ((seconds / pairs) * 64_000) / 60;
  const each = `${((seconds / pairs) * 1e3).toFixed(1)} ms | ${(asked / pairs).toFixed(2)}`;
  print(`| ${count} | ${pairs} | ${each} | ${minutes.toFixed(1)} min |`);
}

function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

await runCommand(main);
