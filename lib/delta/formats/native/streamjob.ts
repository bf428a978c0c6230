import { createStreamEncoder, type StreamEncoder, type StreamSettings } from './streamcoder.ts';
import { free } from '../../../runtime/memory.ts';
import { FRESH, type StreamParts } from './streams.ts';

/** The compression of one batch, in a thread or without one. */

export interface StreamTask {
  readonly settings: StreamSettings;
  readonly streams: StreamParts;
  /** Whether this thread compresses new bytes, and whether it compresses the other streams. */
  readonly isFresh: boolean;
  readonly isRest: boolean;
}

export interface StreamResult {
  /** Empty where another thread compresses. */
  readonly streams: Uint8Array<ArrayBuffer>[];
}

export function createStreamHandler(): (task: StreamTask) => StreamResult {
  const encoders: StreamEncoder[] = [];
  return ({ settings, streams, isFresh, isRest }) => {
    const compressed = streams.map((bytes, stream) => {
      if (bytes.length === 0 || (stream !== FRESH && !isRest)) return new Uint8Array();
      const encoder = (encoders[stream] ??= createStreamEncoder(stream, settings));
      if (stream !== FRESH || isFresh) return Uint8Array.from(encoder.compress(bytes));
      encoder.skip(bytes);
      return new Uint8Array();
    });
    for (const bytes of streams) free(bytes);
    return { streams: compressed };
  };
}
