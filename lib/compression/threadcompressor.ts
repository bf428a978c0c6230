import { openThread, threadEntry } from '../runtime/thread.ts';
import { PIECE_SIZE, recompressed } from './recompress.ts';
import type { Compression } from './recipe.ts';

const compressThread = threadEntry<typeof import('./compressthread.ts')>(
  new URL('./compressthread.ts', import.meta.url),
);

/**
 * Compresses a layer's tar by its recipe in a thread of its own, a piece ahead of the reader.
 *
 * @throws as `recompressed` does; the signal's reason
 */
export async function* recompressedInThread(
  tar: AsyncIterable<Uint8Array>,
  compression: Compression,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  // these take no time of this thread
  if (compression.encoder === 'none' || compression.encoder === 'libzstd') {
    yield* recompressed(tar, compression);
    return;
  }
  await using thread = openThread(compressThread, signal);
  let ahead = thread.call({ kind: 'begin', recipe: compression });
  // awaited when the next piece is there
  ahead.catch(() => {});
  for await (const chunk of tar) {
    for (let at = 0; at < chunk.length; at += PIECE_SIZE) {
      const piece = Uint8Array.from(chunk.subarray(at, at + PIECE_SIZE));
      const { bytes } = await ahead;
      ahead = thread.call({ kind: 'piece', piece }, [piece.buffer]);
      ahead.catch(() => {});
      if (bytes.length > 0) yield bytes;
    }
  }
  const { bytes } = await ahead;
  if (bytes.length > 0) yield bytes;
  yield (await thread.call({ kind: 'end' })).bytes;
}
