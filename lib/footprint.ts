import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 collect early rather than let the heap grow, for commands that run on small devices: what they do is mostly
 * reading and writing, and takes no longer for it. One thread of libuv's pool does, too: each that has had zstd's
 * window of 16 MiB in its part of malloc's memory keeps it. To be called before anything uses the pool.
 */
export function keepSmall(): void {
  setFlagsFromString('--optimize-for-size');
  process.env['UV_THREADPOOL_SIZE'] ??= '1';
}
