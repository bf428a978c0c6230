import type { Destination } from '../../image/write/destination.ts';
import { imageSink, keepsManifest } from '../../image/write/sink.ts';
import type { Sink } from './sink.ts';

/** Writes images to a destination that the user has named. @param options as of `PullTask` */
export function fileSink(
  destination: Destination,
  { isPlain = false, signal }: { readonly isPlain?: boolean; readonly signal: AbortSignal },
): Sink {
  return {
    write: (image, stream, scratch) => imageSink(destination, { isPlain, scratch, signal })(image, stream),
    finish: async (image) => !isPlain && keepsManifest(image, destination),
  };
}
