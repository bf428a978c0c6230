import { pipeline, Readable } from 'node:stream';
import type { Effort } from '../alignment.ts';
import { createCompressor } from './compression.ts';
import { MAGIC } from './format.ts';
import { planLayer, type LayerPlan } from './plan.ts';

export interface EncodeOptions extends LayerPlan {
  readonly effort: Effort;
  readonly signal?: AbortSignal;
}

/** Yields a tar-diff that rebuilds one layer. The same input gives the same bytes. */
export async function* encodeTarDiff(options: EncodeOptions): AsyncGenerator<Uint8Array, void, void> {
  const { effort, signal } = options;
  yield MAGIC;
  let failure: unknown;
  const compressed = pipeline(Readable.from(planLayer(options)), createCompressor(effort), (error) => {
    failure = error;
  });
  try {
    for await (const piece of compressed as AsyncIterable<Uint8Array>) {
      signal?.throwIfAborted();
      yield piece;
    }
  } catch (error) {
    throw failure ?? error;
  }
}
