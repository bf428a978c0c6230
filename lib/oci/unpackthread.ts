import type { LayerStream } from '../delta/alignment.ts';
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
  const image = await openImage(await parseReference(task.reference), task);
  return unpackImage(checkManifest(image, task.manifest), task.path, task.limits);
});
