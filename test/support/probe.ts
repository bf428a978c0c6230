import { threadEntry } from '../../lib/runtime/thread.ts';

export const probe = threadEntry<typeof import('./probethread.ts')>(
  new URL('./probethread.ts', import.meta.url),
);
