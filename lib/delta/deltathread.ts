import type { PatchSource, UnpackedImage } from './format.ts';
import { formatNamed } from './formats.ts';
import type { RootfsFiles } from '../image/rootfsfiles.ts';
import type { DeltaTask, DeltaResult, DeltaSide, CreatedPatch } from './task.ts';
import { join } from 'node:path';
import type { ImageRecord } from '../image/record.ts';
import { storedLayers } from '../image/stored.ts';
import { checkThread } from '../image/threads.ts';
import { runThreadOnce } from '../runtime/thread.ts';
import { serveThread } from '../runtime/threadmain.ts';
import { createPatch } from './create.ts';

/** The body of the thread that makes the patches of a pair. */

export const handler = serveThread(async (task: DeltaTask, onStep): Promise<DeltaResult> => {
  const { limits, scratch, effort } = task;
  const { source, target, record, files } = await openPair(task, onStep);
  const failure = new AbortController();
  const checked = Promise.all([record, files]);
  checked.catch((error: unknown) => failure.abort(error));
  const patches: CreatedPatch[] = [];
  for (const format of task.formats) {
    onStep(`make ${format} patch`);
    const started = performance.now();
    const path = join(scratch, `patch.${format}`);
    const listed = formatNamed(format).traits.listsSource && (await files);
    const patch = await createPatch(format, {
      source: { ...source, ...(listed && { files: listed }) },
      target,
      record,
      path,
      scratch,
      effort,
      limits,
      signal: failure.signal,
    });
    patches.push({ ...patch, format, path, encodeSeconds: (performance.now() - started) / 1000 });
  }
  const [completed] = await checked;
  return { source: source.record, target: completed, patches };
});

/** The images of a pair. Compressions and files are looked for while patches are made. */
interface Pair {
  readonly source: PatchSource;
  readonly target: UnpackedImage;
  /** The target's, with the compressions of its layers. */
  readonly record: Promise<ImageRecord>;
  /** Of the source, if a format wants them and it was flattened to check it. */
  readonly files: Promise<RootfsFiles | undefined>;
}

const opening = () => import('./unpack.ts');

async function openPair(task: DeltaTask, onStep: (step: string) => void): Promise<Pair> {
  const { source: from, target: to, limits, scratch } = task;
  const read = async (side: DeltaSide) => (await opening()).readImage(side, limits, scratch);
  if (from.unpacked && to.unpacked) {
    const { record } = to.unpacked;
    const target = { ...to.unpacked, layers: storedLayers(record, () => read(to)) };
    return {
      source: from.unpacked,
      target,
      record: Promise.resolve(record),
      files: Promise.resolve(undefined),
    };
  }
  const { unpackPair } = await opening();
  onStep(`read ${from.reference}`);
  const sourceImage = await read(from);
  onStep(`read ${to.reference}`);
  const targetImage = await read(to);
  const { images, record: found } = unpackPair(sourceImage, targetImage, scratch, limits);
  const [source, target] = await images;
  // the byte formats need no tar, and would take a layer that is damaged
  const files = runThreadOnce(checkThread, {
    images: [
      { name: sourceImage.reference, stream: source.stream },
      { name: targetImage.reference, stream: target.stream },
    ],
    limits,
    isListed: task.formats.some((format) => formatNamed(format).traits.listsSource),
  });
  return { source, target, record: Promise.all([found, files]).then(([record]) => record), files };
}
