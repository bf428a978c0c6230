import { threadId } from 'node:worker_threads';
import { PanamaxError } from '../../lib/errors.ts';
import { serveThread } from '../../lib/runtime/threadmain.ts';

export interface Probe {
  readonly fails?: boolean;
  readonly endless?: boolean;
  /** Memory that the thread keeps. */
  readonly bytes?: number;
}

const kept: Uint8Array[] = [];

export const handler = serveThread(({ fails, endless, bytes = 0 }: Probe): { readonly id: number } => {
  if (fails) throw new PanamaxError('bad-input', 'failed as asked');
  if (endless) for (;;);
  kept.push(new Uint8Array(bytes));
  return { id: threadId };
});
