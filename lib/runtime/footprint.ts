import { stat } from 'node:fs';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Growth of memory outside the heap, in bytes, after which garbage is collected. V8 alone waits for 64 MB. */
const MAX_EXTERNAL_GROWTH = 1024 ** 2;
/** In milliseconds. */
const CHECK_EVERY = 10;

let isLimited = false;

/**
 * Limits the memory of the process, for commands that run on small devices and mostly read and write: garbage is
 * collected early, and libuv's pool has one thread, because each thread that has held zstd's window of 16 MiB in its
 * malloc arena keeps it. Call this before the pool is used for the first time.
 */
export function limitMemory(): void {
  if (isLimited) return;
  isLimited = true;
  process.env['UV_THREADPOOL_SIZE'] ??= '1';
  setFlagsFromString('--optimize-for-size');
  setFlagsFromString('--expose-gc');
  // only contexts that are created after the flag have gc()
  const collect = runInNewContext('gc') as () => void;
  let kept = 0;
  setInterval(() => {
    if (getHeapStatistics().external_memory < kept + MAX_EXTERNAL_GROWTH) return;
    collect();
    kept = getHeapStatistics().external_memory;
  }, CHECK_EVERY).unref();
}

/** In milliseconds. */
export const WAKE_EVERY = 5000;

/**
 * Queues a file system call now and then. glibc before 2.41 can lose the signal that wakes a thread (sourceware bug
 * 25847): then a read waits in the queue of libuv's pool until another call is queued. This was seen once in hours of
 * work. Does not keep the process alive.
 */
export function keepThreadPoolAwake(): void {
  setInterval(() => stat('/', () => {}), WAKE_EVERY).unref();
}
