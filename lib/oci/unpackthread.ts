import { mkdir, rm } from 'node:fs/promises';
import type { LayerStream } from '../delta/alignment.ts';
import { isEngineTransport } from '../engine/transport.ts';
import type { Limits } from '../limits.ts';
import { serveThread } from '../threadmain.ts';
import type { Digest, Platform } from './descriptor.ts';
import { checkManifest, openImage } from './image.ts';
import { unpackImage } from './layerstream.ts';
import { parseReference } from './reference.ts';

/** The body of the thread that unpacks one image. */

export interface UnpackTask {
  readonly reference: string;
  readonly platform?: Platform;
  /** Of the image that has to be there. */
  readonly manifest: Digest;
  /** A file that is not there yet. */
  readonly path: string;
  readonly limits: Limits;
}

serveThread(async (task: UnpackTask): Promise<LayerStream> => {
  const reference = await parseReference(task.reference);
  const unpack = async (scratch?: string) => {
    const image = await openImage(reference, { ...task, ...(scratch !== undefined && { scratch }) });
    return unpackImage(checkManifest(image, task.manifest), task.path, task.limits);
  };
  if (!isEngineTransport(reference.transport)) return unpack();
  const scratch = `${task.path}.export`;
  await mkdir(scratch);
  try {
    return await unpack(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
