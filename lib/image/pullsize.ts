import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Image, Layer } from './open.ts';

/**
 * Tells what a pull moves for each layer of an image, in bytes: its size in the manifest where it is compressed
 * there; else what gzip at its default level, which engines use on push, makes of it.
 */
export async function measurePullSizes(image: Image): Promise<number[]> {
  const sizes: number[] = [];
  for (const layer of image.layers) sizes.push(await pullSizeOf(layer));
  return sizes;
}

async function pullSizeOf(layer: Layer): Promise<number> {
  if (layer.descriptor.digest !== layer.diffID) return layer.descriptor.size;
  let size = 0;
  await pipeline(layer.blob(), createGzip(), async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const piece of pieces) size += piece.length;
  });
  return size;
}
