import type { UnpackedImage } from './format.ts';
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
  const [target] = await Promise.all([openTarget(task), checkSource(task, source.stream)]);
  const patches: CreatedPatch[] = [];
  for (const format of task.formats) {
    onStep(`make ${format} patch`);
    const started = performance.now();
    const path = join(scratch, `patch.${format}`);
    const patch = await createPatch(format, { source, target, path, scratch, effort, limits });
    patches.push({ ...patch, format, path, encodeSeconds: (performance.now() - started) / 1000 });
  }
  return { source: source.record, target: target.record, patches };
});

const opening = () => import('./unpack.ts');

async function openSource({
  source,
  limits,
  scratch,
}: DeltaTask): Promise<Pick<UnpackedImage, 'record' | 'stream'>> {
  if (source.unpacked) return source.unpacked;
  const { readImage, unpackSource } = await opening();
  return unpackSource(await readImage(source, limits, scratch), join(scratch, 'source'), limits);
}

async function checkSource({ source, limits }: DeltaTask, stream: LayerStream): Promise<void> {
  if (!source.unpacked) await (await opening()).checkRootfs(source, stream, limits);
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
