import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 collect early rather than let the heap grow, for commands that run on small devices: what they do is mostly
 * reading and writing, and takes no longer for it.
 */
export function keepSmall(): void {
  setFlagsFromString('--optimize-for-size');
}
