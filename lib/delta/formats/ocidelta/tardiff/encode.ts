import { pipeline, Readable } from 'node:stream';
import type { Effort } from '../../../align/alignment.ts';
import { createCompressor } from './compression.ts';
import { MAGIC } from './format.ts';
import { cutParts } from './parts.ts';
import { planOperations, type OperationsOptions } from './operations.ts';

export interface EncodeOptions extends OperationsOptions {
  readonly effort: Effort;
  readonly signal?: AbortSignal;
}

/** Yields a tar-diff that rebuilds one layer. The same input gives the same bytes. */
export async function* encodeTarDiff(options: EncodeOptions): AsyncGenerator<Uint8Array, void, void> {
  yield MAGIC;
  for (const part of cutParts(options.alignments, options.start, options.end)) {
    yield* encodePart({ ...options, ...part });
  }
}

/** Yields one part of a tar-diff, as `cutParts` cuts it: a zstd frame. Memory: up to 110 MiB. */
export async function* encodePart(options: EncodeOptions): AsyncGenerator<Uint8Array, void, void> {
  let failure: unknown;
  const operations = Readable.from(planOperations(options));
  const compressed = pipeline(operations, createCompressor(options.effort), (error) => {
    failure = error;
  });
  try {
    for await (const piece of compressed as AsyncIterable<Uint8Array>) {
      options.signal?.throwIfAborted();
      yield piece;
    }
  } catch (error) {
    throw failure ?? error;
  }
}
