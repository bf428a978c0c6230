/** Backfills of real images: embedded, and on a queue with one worker and with two. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { openImage, type Layer } from '../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../lib/limits.ts';
import { writeLayout } from '../test/support/layout.ts';
import { startRedis } from '../test/support/redis.ts';
import { createMeasure, type Usage } from './measure.ts';

export interface BackfillFigures {
  readonly images: number;
  readonly embedded: Usage;
  /** By the number of workers; a worker makes one job at a time. */
  readonly queued: ReadonlyMap<number, Usage>;
}

const PANAMAX = join(import.meta.dirname, '../bin/panamax.ts');
/** The cheapest patches: the queue's own work weighs most. */
const CHEAP = ['--format', 'xdelta', '--effort', 'fast'];

/** @param count of images: those of the corpus, then images that have one more layer, of another image */
export async function measureBackfills(
  layouts: readonly string[],
  count: number,
  workers: readonly number[],
): Promise<BackfillFigures> {
  const ends: (() => Promise<void>)[] = [];
  const scope = { after: (action: () => Promise<void>) => void ends.push(action) };
  const directory = await mkdtemp(join(tmpdir(), 'panamax-backfills-'));
  const path = (name: string) => join(directory, name);
  try {
    const images = layouts.slice(0, count);
    for (let i = 0; images.length < count; i++) {
      const derived = path(`image-${i}`);
      await derive(layouts[i % layouts.length]!, layouts[(i + 1) % layouts.length]!, derived);
      images.push(derived);
    }
    const references = images.map((layout) => `oci:${layout}`);
    const measured = (name: string, command: string, args: readonly string[]) =>
      createMeasure(path(`usage-${name}`))([process.execPath, PANAMAX, command, ...args]);
    const placed = async (name: string) => {
      await mkdir(path(`scratch-${name}`));
      return ['--store', path(`store-${name}`), '--scratch', path(`scratch-${name}`), '--concurrency', '1'];
    };

    const embedded = await measured('embedded', 'backfill', [
      ...references,
      ...CHEAP,
      ...(await placed('embedded')),
    ]);
    await rm(path('store-embedded'), { recursive: true });
    const { url } = await startRedis(scope);
    const queued = new Map<number, Usage>();
    for (const most of workers) {
      const store = path(`store-${most}`);
      const redis = ['--redis', url];
      const run = ['--store', store, '--run', 'bench', ...CHEAP];
      const enqueued = await measured('enqueue', 'enqueue', [...references, ...redis, ...run]);
      const started = performance.now();
      const usages = await Promise.all(
        Array.from({ length: most }, async (_, i) => {
          const place = (await placed(`${most}-${i}`)).with(1, store);
          return measured(`worker-${i}`, 'worker', ['all', ...redis, ...place, '--drain']);
        }),
      );
      const wallSeconds = (performance.now() - started) / 1000;
      const cpuSeconds = usages.reduce((sum, usage) => sum + usage.cpuSeconds, enqueued.cpuSeconds);
      const peakMemory = Math.max(...usages.map((usage) => usage.peakMemory));
      queued.set(most, { wallSeconds, cpuSeconds, peakMemory });
      await rm(store, { recursive: true });
    }
    return { images: images.length, embedded, queued };
  } finally {
    for (const end of ends) await end();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Writes an image with the layers of one image and the last layer of another. */
async function derive(base: string, other: string, layout: string): Promise<void> {
  const all = [...(await layersOf(base)), ...(await layersOf(other)).slice(-1)];
  const layers: Buffer[] = [];
  const blobs: Buffer[] = [];
  for (const layer of all) {
    layers.push(await buffer(layer.tar()));
    blobs.push(await buffer(layer.blob()));
  }
  await writeLayout(layout, layers, { blobs, tag: basename(layout) });
}

async function layersOf(path: string): Promise<readonly Layer[]> {
  return (await openImage({ transport: 'oci', path }, { limits })).layers;
}
