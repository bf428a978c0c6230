import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { PanamaxError } from '../../../errors.ts';
import { unpackImage } from '../../../image/layerstream.ts';
import { imageRecord, platformOf } from '../../../image/record.ts';
import { listRootfsFiles } from '../../../image/rootfsfiles.ts';
import { writeAll } from '../../../runtime/file.ts';
import type { ApplyContext, RebuiltImage, SourceTask } from '../../format.ts';
import { openSource, wrongSource } from '../../source.ts';
import type { OciDelta } from './read.ts';
import { rebuildLayers } from './rebuild.ts';
import { openRebuildSource } from './source.ts';

const READ_SIZE = 128 * 1024;

/** Rebuilds all layers on scratch first: an oci-delta does not tell their sizes, which the image needs ahead. */
export async function rebuildOciDelta(
  delta: OciDelta,
  task: SourceTask,
  { limits, scratch, signal }: ApplyContext,
): Promise<RebuiltImage> {
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
  const unpacked = join(scratch, 'source');
  const stream = await unpackImage(image, unpacked, limits, signal);
  const files = await listRootfsFiles(stream, limits);
  await using source = await openRebuildSource(unpacked, stream, image.layers, files);
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
  const record = imageRecord(documents, sizes, undefined, compressions);
  return { record, stream: createReadStream(path, { highWaterMark: READ_SIZE }) };
}
