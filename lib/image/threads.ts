import { threadEntry } from '../runtime/thread.ts';

/** Threads that modules of other folders start. */

export const rootfsThread = threadEntry<typeof import('./rootfsthread.ts')>(
  new URL('./rootfsthread.ts', import.meta.url),
);

export const unpackThread = threadEntry<typeof import('./unpackthread.ts')>(
  new URL('./unpackthread.ts', import.meta.url),
);

export const checkThread = threadEntry<typeof import('./checkthread.ts')>(
  new URL('./checkthread.ts', import.meta.url),
);
