import { on } from 'node:events';
import { createReadStream } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { toPanamaxError } from '../errors.ts';
import type { ThreadMessage } from '../thread.ts';
import { findCompression, findCorrection, type CompressedLayer } from './detect.ts';
import type { Compression } from './recipe.ts';

/** The body of the thread that finds how layers were compressed, one behind the other. */

export interface FinderTask {
  readonly layer: CompressedLayer;
  /** The file of the layer stream, and where the layer stands in it. */
  readonly path: string;
  readonly start: number;
  readonly size: number;
  /** A file of the layer as it is compressed, where no encoder makes it and a correction is wanted. */
  readonly blob?: string;
}

export type FinderAnswer = ThreadMessage<Compression | undefined>;

const READ_SIZE = 256 * 1024;

async function serve(): Promise<void> {
  for await (const [task] of on(parentPort!, 'message') as AsyncIterable<[FinderTask]>) {
    const post = (answer: FinderAnswer) => parentPort!.postMessage(answer);
    try {
      post({ result: await find(task) });
    } catch (error) {
      const { kind, message, facts } = toPanamaxError(error);
      post({ failure: { kind, message, facts } });
    }
  }
}

async function find({ layer, path, start, size, blob }: FinderTask): Promise<Compression | undefined> {
  const range = { start, end: start + size - 1, highWaterMark: READ_SIZE };
  const tar = () => (size > 0 ? createReadStream(path, range) : none());
  if (blob === undefined) return findCompression(layer, tar);
  return findCorrection(layer, () => createReadStream(blob, { highWaterMark: READ_SIZE }), tar);
}

async function* none(): AsyncGenerator<Uint8Array, void, void> {}

await serve();
