import { closeSync, openSync } from 'node:fs';
import type { Compression } from '../../compression/recipe.ts';
import { readExactly } from '../../runtime/blocking.ts';
import type { FilePart } from '../../runtime/space.ts';
import { findCompression, type CompressedLayer, type SearchOptions } from './detect.ts';

/** The search for the encoder of one layer, in a thread or without one. */

export interface LayerTask {
  readonly layer: CompressedLayer;
  /** The uncompressed layer. */
  readonly tar: FilePart;
  readonly options: SearchOptions;
}

const READ_SIZE = 256 * 1024;

export function searchLayer({ layer, tar, options }: LayerTask): Promise<Compression | undefined> {
  return findCompression(layer, () => blockingPieces(tar), options);
}

/** Reads a part of a file. A piece is valid until the next one is requested. */
async function* blockingPieces({ path, offset, size }: FilePart): AsyncGenerator<Uint8Array, void, void> {
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(READ_SIZE);
    for (let at = 0; at < size; at += READ_SIZE) {
      const piece = buffer.subarray(0, Math.min(READ_SIZE, size - at));
      readExactly(fd, piece, offset + at);
      yield piece;
    }
  } finally {
    closeSync(fd);
  }
}
