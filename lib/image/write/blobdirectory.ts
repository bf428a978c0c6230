import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hexOf, type Digest } from '../../digest.ts';
import { makeDirectories, partIn, replaceFile, sweepParts } from '../../runtime/file.ts';
import { growBlob, type GrowingBlob } from './growingblob.ts';
import type { ImageBlobs } from './imageblobs.ts';

/**
 * Writes an image's blobs to `sha256/HEX` below a directory, which is made if it is missing: the layers one by one,
 * then the config, then the manifest. A blob gets its name once it is whole and proven, so those written before an
 * error stay. A blob that occurs twice is written once.
 *
 * @param onLayer gets each layer before its first byte is there, to read it while it is written
 * @throws PanamaxError `bad-patch` for a layer that does not match its digests, and errors of the file system
 */
export async function writeBlobs(
  image: ImageBlobs,
  directory: string,
  onLayer: (blob: GrowingBlob) => void = () => {},
): Promise<void> {
  const { manifest, config, layers } = image;
  const blobs = join(directory, 'sha256');
  await makeDirectories(blobs);
  await sweepParts(blobs);
  const pathOf = (digest: Digest) => join(blobs, hexOf(digest));
  const seen = new Set<Digest>();
  for await (const { descriptor, bytes } of layers) {
    const { digest } = descriptor;
    if (seen.has(digest)) continue;
    seen.add(digest);
    await growBlob(descriptor, bytes, { part: partIn(blobs), path: pathOf(digest) }, onLayer);
  }
  for (const { descriptor, bytes } of [config, manifest]) {
    await replaceFile(pathOf(descriptor.digest), (part) => writeFile(part, bytes));
  }
}
