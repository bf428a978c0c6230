import { runThread, threadEntry } from '../runtime/thread.ts';
import { compareHere, type Compared, type CompareTask } from './comparestored.ts';
import { parseProfile, type StoredProfile } from './signature/stored.ts';

const compareThread = threadEntry<typeof import('./comparethread.ts')>(
  new URL('./comparethread.ts', import.meta.url),
);

/** Signatures and tables up to these sizes, in bytes, are read and compared at once: a thread would take longer to start. */
const SMALL_SIGNATURE = 64 * 1024;
const SMALL_TABLES = 512 * 1024;

/** Reads a profile, in a thread unless it is small. @throws PanamaxError `bad-input` */
export async function readProfile(
  bytes: Uint8Array,
  where: string,
  signal?: AbortSignal,
): Promise<StoredProfile> {
  if (bytes.length <= SMALL_SIGNATURE) return parseProfile(bytes, where);
  return (await runThread(compareThread, { bytes, where }, signal)) as StoredProfile;
}

/** Compares a target with a source, in a thread unless both are small. Tables are shared with the thread. */
export async function compareStored(task: CompareTask, signal?: AbortSignal): Promise<Compared> {
  const size = [task.target, ...task.sources].reduce((sum, { table }) => sum + table.byteLength, 0);
  if (size <= SMALL_TABLES) return compareHere(task);
  return (await runThread(compareThread, task, signal)) as Compared;
}
