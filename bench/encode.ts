import type { DeltaTask } from '../lib/delta/task.ts';
import type { FormatName } from '../lib/delta/format.ts';

/**
 * encode.ts SOURCE TARGET PATCH FORMAT EFFORT: makes and verifies a patch in the thread of the delta stage. SOURCE and TARGET
 * are layer streams on disk, each with its image's record beside it as `.json`. It is a separate process, so that it can be
 * measured.
 */
import { mkdtemp, rename, rm } from 'node:fs/promises';
import type { Effort } from '../lib/delta/align/alignment.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { deltaThread } from '../lib/delta/threads.ts';
import { runThread } from '../lib/runtime/thread.ts';
import { readUnpacked } from './unpacked.ts';

const [source, target, path, format, effort] = process.argv.slice(2);

const scratch = await mkdtemp(`${path!}-`);
try {
  const task: DeltaTask = {
    source: await readUnpacked(source!),
    target: await readUnpacked(target!),
    formats: [format as FormatName],
    effort: effort as Effort,
    limits: DEFAULT_LIMITS,
    scratch,
  };
  const { patches } = await runThread(deltaThread, task);
  await rename(patches[0]!.path, path!);
} finally {
  await rm(scratch, { recursive: true, force: true });
}
