import { stat } from 'node:fs';

/** In milliseconds. */
const STIR_EVERY = 5000;

/**
 * Keeps a long process going where glibc before 2.41 has lost the signal that wakes a thread (sourceware bug 25847): then a
 * read waits in the queue of Node's threads until something else is asked of them, seen once in hours of work. Something
 * is asked now and then. Does not keep the process alive.
 */
export function stirThreads(): void {
  setInterval(() => stat('/', () => {}), STIR_EVERY).unref();
}
