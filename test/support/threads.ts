import { threadEntry } from '../../lib/runtime/thread.ts';

export const hungryThread = threadEntry<typeof import('./hungrythread.ts')>(
  new URL('./hungrythread.ts', import.meta.url),
);
