import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Image, Layer } from './open.ts';

/** The bytes that a pull transfers for each layer. */
export async function measurePullSizes(image: Image): Promise<number[]> {
  const sizes: number[] = [];
  for (const layer of image.layers) sizes.push(await pullSizeOf(layer));
  return sizes;
}

/**
 * The bytes that a pull transfers for a layer: its size in the manifest, or, if it is stored uncompressed, its size by
 * gzip at the default level, which engines use on push.
 */
export async function pullSizeOf(layer: Layer): Promise<number> {
  if (layer.descriptor.digest !== layer.diffID) return layer.descriptor.size;
  let size = 0;
  await pipeline(layer.blob(), createGzip(), async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const piece of pieces) size += piece.length;
  });
  return size;
}
