/** Makes patches in a thread, as the command does, and applies them. */
import { parseDestination } from '../../lib/image/write/destination.ts';
import { deltaThread } from '../../lib/delta/threads.ts';
import { imageSink } from '../../lib/image/write/sink.ts';
import type { FormatName } from '../../lib/delta/format.ts';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { applyPatchFile } from '../../lib/delta/apply.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import type { ImageRecord } from '../../lib/image/record.ts';
import { runThread } from '../../lib/runtime/thread.ts';

const limits = DEFAULT_LIMITS;

/** Writes the patch from `source` to `target` to the file `path`, with scratch files beside it. */
export async function makePatch(
  source: string,
  target: string,
  path: string,
  format: FormatName = 'xdelta',
): Promise<void> {
  await makePatches(source, target, { [format]: path });
}

/** Writes the patches of a pair in several formats, which share the search for the compressions of the target. */
export async function makePatches(
  source: string,
  target: string,
  paths: Readonly<Partial<Record<FormatName, string>>>,
): Promise<void> {
  const scratch = await mkdtemp(`${Object.values(paths)[0]}-scratch-`);
  try {
    const { patches } = await runThread(deltaThread, {
      source: { reference: source },
      target: { reference: target },
      formats: Object.keys(paths),
      effort: 'fast',
      limits,
      scratch,
    });
    for (const { format, path } of patches) await rename(path, paths[format]!);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** Applies a patch, with scratch files beside it. */
export async function applyPatch(
  patch: string,
  source: string | readonly string[],
  output: string,
): Promise<ImageRecord> {
  const scratch = await mkdtemp(`${patch}-scratch-`);
  try {
    return await applyPatchFile(
      { patch, sources: [source].flat(), sink: imageSink(parseDestination(output), { scratch }) },
      { scratch, limits, signal: new AbortController().signal },
    );
  } finally {
    await rm(scratch, { recursive: true });
  }
}
