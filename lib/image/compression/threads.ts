import { threadEntry } from '../../runtime/thread.ts';

export const findThread = threadEntry<typeof import('./findthread.ts')>(
  new URL('./findthread.ts', import.meta.url),
);

export const proveThread = threadEntry<typeof import('./provethread.ts')>(
  new URL('./provethread.ts', import.meta.url),
);
