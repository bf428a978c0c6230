import { openThread, threadEntry } from '../../../runtime/thread.ts';
import { YOUNG_GENERATION } from './memory.ts';
import type { StreamSettings } from './streamcoder.ts';
import { createStreamHandler } from './streamjob.ts';
import { FRESH, type StreamParts } from './streams.ts';

const streamThread = threadEntry<typeof import('./streamthread.ts')>(
  new URL('./streamthread.ts', import.meta.url),
);

const EMPTY: Uint8Array = new Uint8Array();

/** Compresses the streams of one batch after the other, in threads or in this one. */
export interface StreamCrew extends AsyncDisposable {
  /**
   * @param streams of the next batch, each in memory of its own, which the crew takes over
   * @returns each compressed
   */
  compress(streams: readonly Uint8Array<ArrayBuffer>[]): Promise<StreamParts>;
}

/** @param count of threads: 0 for none, else they take turns at new bytes, and the last has the other streams */
export function createStreamCrew(settings: StreamSettings, count: number, signal?: AbortSignal): StreamCrew {
  const local = createStreamHandler();
  const threads = Array.from({ length: count }, () =>
    openThread(streamThread, signal, undefined, YOUNG_GENERATION),
  );
  let turn = 0;
  return {
    async compress(streams) {
      if (count === 0) return local({ settings, streams, isFresh: true, isRest: true }).streams;
      const mine = turn++ % count;
      const results = await Promise.all(
        threads.map((thread, i) => {
          const isFresh = i === mine;
          if (i === count - 1) {
            const moved = streams.map(({ buffer }) => buffer);
            return thread.call({ settings, streams, isFresh, isRest: true }, moved);
          }
          const used = streams.map((bytes, stream) => (stream === FRESH ? bytes : EMPTY));
          return thread.call({ settings, streams: used, isFresh, isRest: false });
        }),
      );
      return streams.map((_, stream) => results[stream === FRESH ? mine : count - 1]!.streams[stream]!);
    },
    async [Symbol.asyncDispose]() {
      for (const thread of threads) await thread[Symbol.asyncDispose]();
    },
  };
}
