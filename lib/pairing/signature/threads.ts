import { threadEntry } from '../../runtime/thread.ts';

export const signatureThread = threadEntry<typeof import('./signaturethread.ts')>(
  new URL('./signaturethread.ts', import.meta.url),
);
