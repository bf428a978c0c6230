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

/** Finds the compressions of an image's layers in a thread. */

export interface FinderTask {
  readonly reference: string;
  readonly platform?: Platform;
  readonly limits: Limits;
  /** A directory for this task only. */
  readonly scratch: string;
  /** Cache directory for blobs of registries. */
  readonly blobs: string;
  /** The image's record, and its layer stream. */
  readonly record: ImageRecord;
  readonly stream: LayerStream;
  /** Results of earlier searches. */
  readonly known: KnownCompressions;
}

export const handler = serveThread(async (task: FinderTask): Promise<KnownCompressions> => {
  const { reference, record, stream, known } = task;
  const layers = storedLayers(record, async () => openImage(await parseReference(reference), task));
  const found = await findCompressions(layers, stream.parts, { known });
  return new Map(record.layers.map(({ digest }, i) => [digest, found[i] ?? null]));
});
