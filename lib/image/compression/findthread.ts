import type { Limits } from '../../limits.ts';
import { serveThread } from '../../runtime/threadmain.ts';
import type { LayerStream } from '../layerstream.ts';
import type { Platform } from '../oci/descriptor.ts';
import { parseReference } from '../oci/reference.ts';
import { openImage } from '../open.ts';
import type { ImageRecord } from '../record.ts';
import { storedLayers } from '../stored.ts';
import { findCompressions } from './find.ts';
import type { KnownCompressions } from './known.ts';

/** The body of the thread that finds how the layers of one image were compressed. */

export interface FinderTask {
  readonly reference: string;
  readonly platform?: Platform;
  readonly limits: Limits;
  /** A directory of the task's own. */
  readonly scratch: string;
  /** Where blobs from registries are kept. */
  readonly blobs: string;
  /** The image that the reference names, unpacked. */
  readonly record: ImageRecord;
  readonly stream: LayerStream;
  /** Of its layers those that were looked into before. */
  readonly known: KnownCompressions;
}

export const handler = serveThread(async (task: FinderTask): Promise<KnownCompressions> => {
  const { reference, record, stream, known } = task;
  const layers = storedLayers(record, async () => openImage(await parseReference(reference), task));
  const found = await findCompressions(layers, stream, known);
  return new Map(record.layers.map(({ digest }, i) => [digest, found[i] ?? null]));
});
