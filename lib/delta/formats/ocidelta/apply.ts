import { openRebuildSource } from './source.ts';
import { rebuildLayers } from './rebuild.ts';
import type { OciDelta } from './read.ts';
import { listRootfsFiles } from '../../../image/rootfsfiles.ts';
import { imageRecord, platformOf, type ImageRecord } from '../../../image/record.ts';
import { unpackImage } from '../../../image/layerstream.ts';
import { writeAll } from '../../../runtime/file.ts';
import { PanamaxError } from '../../../errors.ts';
import { join } from 'node:path';
import { open } from 'node:fs/promises';
import type { ApplyTask, ApplyContext } from '../../format.ts';
import { openSource, wrongSource } from '../../source.ts';

/** An oci-delta does not say how large its layers are, so they are rebuilt before an image is written of them. */
export async function rebuildOnScratch(
  delta: OciDelta,
  task: ApplyTask,
  { limits, scratch, signal }: ApplyContext,
): Promise<{ path: string; record: ImageRecord }> {
  const [reference] = task.sources;
  if (reference === undefined || task.sources.length > 1 || reference.startsWith('stream:')) {
    throw new PanamaxError('usage', 'an oci-delta needs the source as an image', {
      found: task.sources.join(', '),
    });
  }
  const image = await openSource(reference, task, platformOf(delta.target), { limits, scratch, signal });
  if (image.configDigest !== delta.source.config) {
    throw wrongSource(delta.source.config, delta.source.config, image.configDigest, reference);
  }
  const stream = await unpackImage(image, join(scratch, 'source'), limits, signal);
  const files = await listRootfsFiles(stream, limits);
  await using source = await openRebuildSource(stream, image.layers, files);
  const path = join(scratch, 'target');
  const sizes: number[] = [];
  await using file = await open(path, 'wx');
  for await (const { tar } of rebuildLayers(delta, source, { maxSize: limits.maxImageSize, signal })) {
    let size = 0;
    for await (const piece of tar) {
      await writeAll(file, piece);
      size += piece.length;
    }
    sizes.push(size);
  }
  const { manifest, manifestDocument, config, configDocument } = delta.target;
  const documents = {
    manifestDigest: manifest,
    manifestBytes: manifestDocument,
    configDigest: config,
    configBytes: configDocument,
  };
  const compressions = delta.layers.map(({ compression }) => compression);
  return { path, record: imageRecord(documents, sizes, undefined, compressions) };
}
