import type { PatchSource, UnpackedImage } from './format.ts';
import { formatNamed } from './formats.ts';
import type { RootfsFiles } from '../image/rootfsfiles.ts';
import type { DeltaTask, DeltaResult, CreatedPatch } from './task.ts';
import { join } from 'node:path';
import type { LayerStream } from '../image/layerstream.ts';
import { storedLayers } from '../image/stored.ts';
import { serveThread } from '../runtime/threadmain.ts';
import { createPatch } from './create.ts';

/** The body of the thread that makes the patches of a pair. */

export const handler = serveThread(async (task: DeltaTask, onStep): Promise<DeltaResult> => {
  const { limits, scratch, effort } = task;
  onStep(`read ${task.source.reference}`);
  const source = await openSource(task);
  onStep(`read ${task.target.reference}`);
  const [target, files] = await Promise.all([openTarget(task), checkSource(task, source.stream)]);
  const patches: CreatedPatch[] = [];
  for (const format of task.formats) {
    onStep(`make ${format} patch`);
    const started = performance.now();
    const path = join(scratch, `patch.${format}`);
    const checked = { ...source, ...(files && { files }) };
    const patch = await createPatch(format, { source: checked, target, path, scratch, effort, limits });
    patches.push({ ...patch, format, path, encodeSeconds: (performance.now() - started) / 1000 });
  }
  return { source: source.record, target: target.record, patches };
});

const opening = () => import('./unpack.ts');

async function openSource({ source, limits, scratch }: DeltaTask): Promise<PatchSource> {
  if (source.unpacked) return source.unpacked;
  const { readImage, unpackSource } = await opening();
  return unpackSource(await readImage(source, limits, scratch), join(scratch, 'source'), limits);
}

/** @returns the source's files, if a format of the task lists them and the source was flattened to check it */
async function checkSource(
  { source, formats, limits }: DeltaTask,
  stream: LayerStream,
): Promise<RootfsFiles | undefined> {
  if (source.unpacked) return undefined;
  const files = await (await opening()).checkRootfs(source, stream, limits);
  return formats.some((format) => formatNamed(format).traits.listsSource) ? files : undefined;
}

async function openTarget({ target, limits, scratch }: DeltaTask): Promise<UnpackedImage> {
  const read = async () => (await opening()).readImage(target, limits, scratch);
  if (target.unpacked) {
    const { record } = target.unpacked;
    return { ...target.unpacked, layers: storedLayers(record, read) };
  }
  const { unpackTarget } = await opening();
  return unpackTarget(await read(), join(scratch, 'target'), limits);
}
