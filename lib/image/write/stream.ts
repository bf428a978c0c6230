import { replaceFile, writeChunks } from '../../runtime/file.ts';
import type { ImageBlobs } from './imageblobs.ts';

/**
 * Writes the bare layer stream, as `xdelta3 -d` does.
 *
 * @param image with uncompressed layers
 */
export async function writeStream(image: ImageBlobs, path: string): Promise<void> {
  await replaceFile(path, (part) => writeChunks(part, concatenated(image)));
}

async function* concatenated({ layers }: ImageBlobs): AsyncGenerator<Uint8Array, void, void> {
  for await (const { bytes } of layers) yield* bytes;
}
