import { writeBlobs } from '../../image/write/blobdirectory.ts';
import type { GrowingBlob } from '../../image/write/growingblob.ts';
import { canBeExact, exactBlobs } from '../../image/write/imageblobs.ts';
import type { Sink } from './sink.ts';

/**
 * Writes the blobs that an image's manifest names to `sha256/HEX` below a directory, without the layers that are not
 * reproducible.
 *
 * @param onLayer gets each layer before its first byte is there, to read it while it is written
 */
export function blobSink(directory: string, onLayer?: (blob: GrowingBlob) => void): Sink {
  return {
    write: (image, stream) => writeBlobs(exactBlobs(image, stream), directory, onLayer),
    finish: async (image) => canBeExact(image),
  };
}
