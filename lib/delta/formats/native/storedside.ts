import type { LayerStream } from '../../../image/layerstream.ts';
import type { ImageRecord } from '../../../image/record.ts';

/** An image whose layer stream is on disk. */
export interface StoredSide {
  readonly record: Pick<ImageRecord, 'layers'>;
  readonly stream: LayerStream;
}
