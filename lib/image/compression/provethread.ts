import type { Digest } from '../../digest.ts';
import { serveThread } from '../../runtime/threadmain.ts';
import type { LayerStream } from '../layerstream.ts';
import type { ImageRecord } from '../record.ts';
import type { KnownCompressions } from './known.ts';
import { findWrongCompressions } from './prove.ts';

/** Applies the recorded compressions of an image's layers in a thread. */

export interface ProverTask {
  readonly record: ImageRecord;
  readonly stream: LayerStream;
  /** Recipes to check. */
  readonly known: KnownCompressions;
}

export const handler = serveThread(async ({ record, stream, known }: ProverTask): Promise<Digest[]> =>
  findWrongCompressions(record, stream, known),
);
