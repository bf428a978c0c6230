import type { ImageRecord } from '../../image/record.ts';

/** Takes an image that is rebuilt at a site. */
export interface Sink {
  /**
   * Reads the layer stream to its end, once, and verifies it.
   *
   * @param scratch an empty directory, kept until `finish` has returned
   * @throws PanamaxError `bad-patch` if the stream is not the image's
   */
  write(image: ImageRecord, stream: AsyncIterable<Uint8Array>, scratch: string): Promise<void>;
  /**
   * Completes the image once the source and the patches' scratch files are removed.
   *
   * @returns whether the image has its manifest digest there
   */
  finish(image: ImageRecord, scratch: string): Promise<boolean>;
}
