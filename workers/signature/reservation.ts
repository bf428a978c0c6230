import { mkdir, rm } from 'node:fs/promises';
import { isEngineTransport } from '../../lib/image/oci/transport.ts';
import type { Image } from '../../lib/image/open.ts';
import { isTooLarge } from '../../lib/image/layerstream.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import type { StageContext } from '../context.ts';
import type { Lease } from '../resources/layercache.ts';

/** What compressed layers unpack to, as a first guess: gzip makes of most images a half to a third. */
const LIKELY_RATIO = 4;

/**
 * Reads an image with as much room reserved on scratch as its layer stream may take: how much that is nobody knows
 * before it has been read, so it is guessed, and read again with twice the room where it was not enough.
 *
 * @param scratch a directory for it alone, which is there; it is gone afterwards
 * @param read throws what `openSpool` throws of a layer stream over `room` bytes
 * @throws PanamaxError what `read` throws, and what the cache says of images that never fit
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
    // the room is free when the files are gone
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

/** What is on scratch beside the layer stream: the blobs that a registry sends, or what an engine exports. */
function keptSize(image: Image): number {
  const transport = transportOf(image);
  if (transport !== 'docker' && !isEngineTransport(transport)) return 0;
  const blobs = new Map(image.layers.map(({ descriptor: { digest, size } }) => [digest, size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}
