import { mkdir, rm } from 'node:fs/promises';
import { isEngineTransport } from '../../lib/image/oci/transport.ts';
import type { Image } from '../../lib/image/open.ts';
import { isTooLarge } from '../../lib/image/expansion.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import type { StageContext } from '../context.ts';
import type { Lease } from '../resources/layercache.ts';

/** First estimate of uncompressed over compressed size; gzip reduces most images to a half or a third. */
const LIKELY_RATIO = 4;

/**
 * Reads an image with scratch space reserved for its layer stream. The size of the stream is unknown until it has been
 * read, so it is estimated; if the estimate is too small, the image is read again with twice the space.
 *
 * @param scratch an existing directory for this image only; removed afterwards
 * @param read throws the error of `openSpool` for a layer stream over `room` bytes
 * @throws PanamaxError errors of `read`, and the cache's refusal of images that never fit
 */
export async function readInRoom<Result>(
  image: Image,
  scratch: string,
  { limits, layers, signal }: StageContext,
  read: (room: number) => Promise<Result>,
): Promise<Result> {
  const kept = keptSize(image);
  const most = Math.min(limits.maxImageSize, layers.maxSize - kept);
  let lease: Lease | undefined;
  try {
    for (let room = Math.min(likelySize(image), most); ; room = Math.min(2 * room, most)) {
      lease = await layers.lease({ images: [], ownSize: kept + Math.max(room, 1), signal });
      try {
        return await read(room);
      } catch (error) {
        if (!isTooLarge(error) || room === limits.maxImageSize) throw error;
        if (room === most) throw layers.refusal(`over ${kept + room}`);
        await rm(scratch, { recursive: true, force: true });
        await mkdir(scratch);
        lease[Symbol.dispose]();
      }
    }
  } finally {
    // the space is released after the files have been removed
    await rm(scratch, { recursive: true, force: true });
    lease?.[Symbol.dispose]();
  }
}

function transportOf({ reference }: Image): string {
  return splitTransport(reference)?.transport ?? 'oci';
}

function likelySize(image: Image): number {
  const isExport = isEngineTransport(transportOf(image));
  return image.layers.reduce((sum, { descriptor: { mediaType, size } }) => {
    const isPlain = isExport || mediaType.endsWith('tar');
    return sum + (isPlain ? size : LIKELY_RATIO * size);
  }, 0);
}

/** Scratch space beside the layer stream in bytes: blobs of a registry, or an engine's export. */
function keptSize(image: Image): number {
  const transport = transportOf(image);
  if (transport !== 'docker' && !isEngineTransport(transport)) return 0;
  const blobs = new Map(image.layers.map(({ descriptor: { digest, size } }) => [digest, size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}
