import type { Digest } from '../digest.ts';
import { canBeExact, exactBlobs } from '../image/write/imageblobs.ts';
import type { Sink } from '../site/sinks/sink.ts';
import type { BlobCache } from './blobcache.ts';

export interface RebuildSinkOptions {
  readonly cache: BlobCache;
  /** Reads a blob of the upstream from an offset. */
  readonly openBlob: (digest: Digest, start: number) => AsyncIterable<Uint8Array>;
  /** Called before the first layer, with the layers that cannot be made. */
  readonly onBegin: (omitted: readonly Digest[]) => void;
  /** Called for each layer that was made from the patch, with its size in bytes. */
  readonly onLayer: (size: number) => void;
}

/**
 * Writes the config and the layers of an image to the cache while they are made. A layer that fails in the middle goes
 * on from the upstream at that byte, so that its readers get it; then the error is thrown.
 */
export function rebuildSink({ cache, openBlob, onBegin, onLayer }: RebuildSinkOptions): Sink {
  return {
    async write(image, stream) {
      const { config, layers, omitted } = exactBlobs(image, stream);
      onBegin(omitted.map(({ digest }) => digest));
      if (!cache.isThere(config.descriptor.digest)) await cache.put(config.descriptor.digest, config.bytes);
      for await (const { descriptor, bytes } of layers) {
        const { digest, size } = descriptor;
        if (cache.isThere(digest)) continue;
        const layer = continued(bytes, (start) => openBlob(digest, start));
        await cache.write(descriptor, layer.bytes());
        if (layer.failure) throw layer.failure.error;
        onLayer(size);
      }
    },
    finish: async (image) => canBeExact(image),
  };
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
