import { serveThread } from '../runtime/threadmain.ts';
import { compareHere, type CompareTask } from './comparestored.ts';
import { parseProfile } from './signature/stored.ts';

/** The entry of the threads that read and compare profiles. */

export interface ReadTask {
  /** A stored signature. */
  readonly bytes: Uint8Array;
  readonly where: string;
}

export const handler = serveThread((task: ReadTask | CompareTask) =>
  'bytes' in task ? parseProfile(task.bytes, task.where) : compareHere(task),
);
