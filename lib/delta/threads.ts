import { threadEntry } from '../runtime/thread.ts';

export const deltaThread = threadEntry<typeof import('./deltathread.ts')>(
  new URL('./deltathread.ts', import.meta.url),
);
