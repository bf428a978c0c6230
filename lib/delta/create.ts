import type { PatchTask, PatchFile } from './format.ts';
import { stat } from 'node:fs/promises';
import { digestOfFile } from '../runtime/filedigest.ts';

/** Patches made and verified. Who applies patches loads nothing of this, and what it needs. */

/** Writes a patch and applies it: what comes out has the target's diffIDs, or this throws. */
export async function createPatch(task: PatchTask): Promise<PatchFile> {
  // what makes the other format is not loaded
  if (task.format === 'xdelta') await (await import('./formats/xdelta/create.ts')).createXdelta(task);
  else await (await import('./formats/ocidelta/create.ts')).createOciDelta(task);
  return { size: (await stat(task.path)).size, digest: await digestOfFile(task.path) };
}
