import { createGzip } from 'node:zlib';
import type { Layer } from './image.ts';

/**
 * Tells what a pull moves for a layer while its tar passes: its size in the manifest where it is compressed
 * there; else what gzip at its default level, which engines use on push, makes of it.
 */
export interface PullMeter {
  write(chunk: Uint8Array): Promise<void>;
  /** In bytes, after the last chunk. */
  size(): Promise<number>;
}

export function createPullMeter({ descriptor, diffID }: Layer): PullMeter {
  if (descriptor.digest !== diffID) return { write: async () => {}, size: async () => descriptor.size };
  let size = 0;
  const gzip = createGzip();
  gzip.on('data', (piece: Buffer) => (size += piece.length));
  const ended = new Promise<void>((resolve, reject) => {
    gzip.once('end', resolve);
    gzip.once('error', reject);
  });
  return {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        gzip.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
    async size() {
      gzip.end();
      await ended;
      return size;
    },
  };
}
