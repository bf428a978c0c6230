import { rm } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { LayerStream } from '../delta/alignment.ts';
import { PanamaxError } from '../errors.ts';
import type { Layer } from '../oci/image.ts';
import { revived, threadModule } from '../thread.ts';
import { writeChunks } from '../file.ts';
import { correctionSize, MOST_CORRECTED } from './corrected/corrected.ts';
import { isCorrectable, readHead } from './detect.ts';
import type { FinderAnswer, FinderTask } from './finderthread.ts';
import type { KnownCompressions } from './known.ts';
import type { Compression } from './recipe.ts';

/** It takes a tenth of this. */
const MAX_HEAP_MB = 256;

type FoundLayer = Pick<Layer, 'blob' | 'descriptor' | 'diffID'>;

/** Finds how the layers of one image were compressed, in a thread of its own, while its stream is still being written. */
export interface CompressionFinder {
  /** The layer stands in the stream, from `start` on. */
  add(layer: FoundLayer, start: number, size: number): void;
  /** Of each layer added, undefined where it can't be made again. */
  found(): Promise<(Compression | undefined)[]>;
  /** Ends what is still at work. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * @param path the image's layer stream; may be removed when the finder has been disposed of
 * @param known of layers that were looked into before
 */
export function createCompressionFinder(
  path: string,
  known: KnownCompressions = new Map(),
): CompressionFinder {
  const results: Promise<Compression | undefined>[] = [];
  const byDigest = new Map<string, Promise<Compression | undefined>>();
  for (const [digest, compression] of known) byDigest.set(digest, Promise.resolve(compression ?? undefined));
  const disposed = new AbortController();
  let worker: Worker | undefined;
  /** One layer at a time, so that one head is held. */
  let last: Promise<unknown> = Promise.resolve();

  async function find(layer: FoundLayer, start: number, size: number): Promise<Compression | undefined> {
    disposed.signal.throwIfAborted();
    const { descriptor, diffID } = layer;
    const head = await readHead(layer);
    disposed.signal.throwIfAborted();
    worker ??= startThread();
    const task = { layer: { descriptor, diffID, head }, path, start, size };
    const found = await ask(worker, task);
    if (found || !isCorrectable(task.layer)) return found;
    const blob = `${path}.layer`;
    try {
      await writeChunks(blob, layer.blob());
      disposed.signal.throwIfAborted();
      return await ask(worker, { ...task, blob });
    } finally {
      await rm(blob, { force: true });
    }
  }

  return {
    add(layer, start, size) {
      let result = byDigest.get(layer.descriptor.digest);
      if (!result) {
        result = last.then(() => find(layer, start, size));
        // told by `found`
        last = result.catch(() => {});
        byDigest.set(layer.descriptor.digest, result);
      }
      results.push(result);
    },
    found: async () => bounded(await Promise.all(results)),
    async [Symbol.asyncDispose]() {
      disposed.abort();
      await worker?.terminate();
      await last;
    },
  };
}

/** An image of which the corrections together are not small has none. */
function bounded(compressions: (Compression | undefined)[]): (Compression | undefined)[] {
  const sizes = compressions.map((found) => (found?.encoder === 'corrected' ? correctionSize(found) : 0));
  const isSmall = sizes.reduce((sum, size) => sum + size, 0) <= MOST_CORRECTED;
  return compressions.map((found, i) => (isSmall || sizes[i] === 0 ? found : undefined));
}

function startThread(): Worker {
  const thread = new Worker(threadModule('./finderthread', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  // of a thread that waits nobody is told
  thread.on('error', () => {});
  return thread;
}

function ask(thread: Worker, task: FinderTask): Promise<Compression | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Compression | undefined>();
  const answered = (answer: FinderAnswer) => {
    if ('result' in answer) resolve(answer.result);
    else reject(revived(answer.failure));
  };
  const ended = (code: number) => reject(new PanamaxError('internal', `thread ended with code ${code}`));
  thread.once('message', answered).once('error', reject).once('exit', ended);
  thread.postMessage(task);
  return promise.finally(() => thread.off('message', answered).off('error', reject).off('exit', ended));
}

/** Finds how each layer of an image was compressed. */
export async function findCompressions(
  layers: readonly FoundLayer[],
  { path, layerSizes }: LayerStream,
): Promise<(Compression | undefined)[]> {
  await using finder = createCompressionFinder(path);
  let start = 0;
  for (const [i, layer] of layers.entries()) {
    const size = layerSizes[i]!;
    finder.add(layer, start, size);
    start += size;
  }
  return await finder.found();
}
