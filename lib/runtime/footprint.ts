import { stat } from 'node:fs';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Buffers that may be lost before V8 is told to collect them, in bytes: left to itself it waits for 64 MB. */
const MAX_LOST = 1024 ** 2;
/** In milliseconds. */
const LOOK_EVERY = 10;

/**
 * Has V8 collect early rather than let the heap and the buffers beside it grow, for commands that run on small devices:
 * what they do is mostly reading and writing, and takes no longer for it. One thread of libuv's pool does, too: each
 * that has had zstd's window of 16 MiB in its part of malloc's memory keeps it. To be called before anything uses the pool.
 */
export function keepSmall(): void {
  process.env['UV_THREADPOOL_SIZE'] ??= '1';
  setFlagsFromString('--optimize-for-size');
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let kept = 0;
  setInterval(() => {
    if (getHeapStatistics().external_memory < kept + MAX_LOST) return;
    collect();
    kept = getHeapStatistics().external_memory;
  }, LOOK_EVERY).unref();
}

/** In milliseconds. */
export const STIR_EVERY = 5000;

/**
 * Keeps a long process going where glibc before 2.41 has lost the signal that wakes a thread (sourceware bug 25847): then a
 * read waits in the queue of Node's threads until something else is asked of them, seen once in hours of work. Something
 * is asked now and then. Does not keep the process alive.
 */
export function stirThreads(): void {
  setInterval(() => stat('/', () => {}), STIR_EVERY).unref();
}
