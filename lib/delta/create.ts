import { stat } from 'node:fs/promises';
import { digestOfFile } from '../runtime/filedigest.ts';
import type { FormatName, PatchTask } from './format.ts';
import { formatNamed } from './formats.ts';
import type { PatchFile } from './task.ts';

/** Writes a patch and applies it. @throws PanamaxError `bad-patch` where the result differs from the target */
export async function createPatch(format: FormatName, task: PatchTask): Promise<PatchFile> {
  await formatNamed(format).create(task);
  return { size: (await stat(task.path)).size, digest: await digestOfFile(task.path) };
}
