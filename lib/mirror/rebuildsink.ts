import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { provenBlob, recompressed } from '../compression/recompress.ts';
import type { Compression } from '../compression/recipe.ts';
import { recompressedInThread } from '../compression/threadcompressor.ts';
import type { Digest } from '../digest.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import { growingFile, type GrowingFile } from '../image/write/growingfile.ts';
import { canBeExact, isReproducible } from '../image/write/imageblobs.ts';
import { splitLayers } from '../image/write/rebuilt.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { SmallestFirst } from '../runtime/smallestfirst.ts';
import type { Sink } from '../site/sinks/sink.ts';
import type { Blob, BlobCache } from './blobcache.ts';

export interface RebuildSinkOptions {
  readonly cache: BlobCache;
  /** Compresses some layers at a time, each in a thread. */
  readonly compressors: SmallestFirst;
  /** Reads a blob of the upstream from an offset. */
  readonly openBlob: (blob: Blob, start: number) => AsyncIterable<Uint8Array>;
  /** Called before the first layer, with the layers that cannot be made. */
  readonly onBegin: (omitted: readonly Digest[]) => void;
  /** Called for each layer that was made from the patch, with its size in bytes. */
  readonly onLayer: (size: number) => void;
  /** Ends the threads. */
  readonly signal: AbortSignal;
}

/** Size of a tar from which on compressing it takes longer than starting a thread, in bytes. */
const WORTH_A_THREAD = 1024 ** 2;

/**
 * Writes the config and the layers of an image to the cache while they are made. Layers that the stream brings faster
 * than they are compressed wait on scratch. A layer that fails in the middle goes on from the upstream at that byte, so
 * that its readers get it; when all layers are over, the first error is thrown.
 */
export function rebuildSink(options: RebuildSinkOptions): Sink {
  const { cache, compressors, openBlob, onBegin, onLayer, signal } = options;

  async function makeLayer(blob: Blob, compression: Compression, tar: GrowingFile, size: number) {
    try {
      await compressors.run(blob.size, async () => {
        const bytes =
          size < WORTH_A_THREAD
            ? recompressed(tar.read(), compression)
            : recompressedInThread(tar.read(), compression, signal);
        const layer = continued(provenBlob(bytes, blob), (start) => openBlob(blob, start));
        await cache.write(blob, layer.bytes());
        if (layer.failure) throw layer.failure.error;
        onLayer(blob.size);
      });
    } finally {
      await tar.release();
    }
  }

  return {
    async write(image, stream, scratch) {
      const bytes = Buffer.from(image.manifestDocument);
      const { config, layers } = parseManifest(bytes, DEFAULT_LIMITS, image.manifest);
      const omitted = layers.filter((_, i) => !isReproducible(image.layers[i]!));
      onBegin(omitted.map(({ digest }) => digest));
      if (!cache.isThere(config.digest)) await cache.put(config.digest, Buffer.from(image.configDocument));
      const made = new Map<Digest, Promise<void>>();
      let results: PromiseSettledResult<void>[];
      try {
        let at = 0;
        for await (const { compression, size, tar } of splitLayers(image, stream)) {
          const blob = layers[at++]!;
          if (!compression || made.has(blob.digest) || cache.isThere(blob.digest)) continue;
          const spool = await openSpool(join(scratch, `layer-${at}`));
          const making = makeLayer(blob, compression, spool, size);
          // a layer may fail long before the last one has come
          making.catch(() => {});
          made.set(blob.digest, making);
          await fill(spool, tar);
        }
      } finally {
        results = await Promise.allSettled(made.values());
      }
      const failed = results.find(({ status }) => status === 'rejected');
      if (failed) throw (failed as PromiseRejectedResult).reason as Error;
    },
    finish: async (image) => canBeExact(image),
  };
}

/** A file without a name: its space is free once it is closed. */
async function openSpool(path: string): Promise<GrowingFile> {
  const file = await open(path, 'wx+');
  await rm(path);
  return growingFile(file, path);
}

async function fill(spool: GrowingFile, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of pieces) await spool.append(piece);
    spool.finish();
  } catch (error) {
    spool.fail(error);
    throw error;
  }
}

interface Continued {
  readonly failure: { readonly error: unknown } | undefined;
  bytes(): AsyncIterable<Uint8Array>;
}

/** Reads pieces and, where they fail, the rest from another place. The reader compares the digest of the whole. */
function continued(
  pieces: AsyncIterable<Uint8Array>,
  rest: (start: number) => AsyncIterable<Uint8Array>,
): Continued {
  let failure: Continued['failure'];
  return {
    get failure() {
      return failure;
    },
    async *bytes() {
      let offset = 0;
      try {
        for await (const piece of pieces) {
          offset += piece.length;
          yield piece;
        }
        return;
      } catch (error) {
        failure = { error };
      }
      yield* rest(offset);
    },
  };
}
