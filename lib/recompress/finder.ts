import { Worker } from 'node:worker_threads';
import type { LayerStream } from '../delta/alignment.ts';
import { PanamaxError } from '../errors.ts';
import type { Layer } from '../oci/image.ts';
import { revived, threadModule } from '../thread.ts';
import { readHead } from './detect.ts';
import type { FinderAnswer, FinderTask } from './finderthread.ts';
import type { KnownCompressions } from './known.ts';
import type { Compression } from './recipe.ts';

type FoundLayer = Pick<Layer, 'blob' | 'descriptor' | 'diffID'>;

/** Finds how the layers of one image were compressed, in a thread of its own, while its stream is still being written. */
export interface CompressionFinder {
  /** The layer stands in the stream, from `start` on; reads the beginning of its blob. */
  add(layer: FoundLayer, start: number, size: number): Promise<void>;
  /** Of each layer added, undefined where it can't be made again. */
  found(): Promise<(Compression | undefined)[]>;
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
  const waiting = new Map<number, PromiseWithResolvers<Compression | undefined>>();
  let worker: Worker | undefined;
  let asked = 0;

  function failAll(error: unknown): void {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  }

  function startThread(): Worker {
    const thread = new Worker(threadModule('./finderthread', import.meta.url));
    thread.on('message', ({ id, answer }: FinderAnswer) => {
      const { resolve, reject } = waiting.get(id)!;
      waiting.delete(id);
      if ('result' in answer) resolve(answer.result);
      else reject(revived(answer.failure));
    });
    thread.on('error', failAll);
    thread.on('exit', (code) => failAll(new PanamaxError('internal', `thread ended with code ${code}`)));
    return thread;
  }

  async function find(task: Omit<FinderTask, 'id'>): Promise<Compression | undefined> {
    const id = asked++;
    const answer = Promise.withResolvers<Compression | undefined>();
    waiting.set(id, answer);
    worker ??= startThread();
    worker.postMessage({ ...task, id } satisfies FinderTask);
    return answer.promise;
  }

  return {
    async add({ blob, descriptor, diffID }, start, size) {
      let result = byDigest.get(descriptor.digest);
      if (!result) {
        const layer = { descriptor, diffID, head: await readHead({ blob }) };
        result = find({ layer, path, start, size });
        // told by `found`
        result.catch(() => {});
        byDigest.set(descriptor.digest, result);
      }
      results.push(result);
    },
    found: () => Promise.all(results),
    async [Symbol.asyncDispose]() {
      await worker?.terminate();
    },
  };
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
    await finder.add(layer, start, size);
    start += size;
  }
  return await finder.found();
}
