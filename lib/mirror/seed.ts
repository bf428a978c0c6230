import type { Digest } from '../digest.ts';
import { toPanamaxError } from '../errors.ts';
import { parseReference } from '../image/oci/reference.ts';
import { releaseNameOf } from '../image/oci/releasename.ts';
import { openImage } from '../image/open.ts';
import { createScratch } from '../runtime/scratch.ts';
import type { Context } from './context.ts';

export interface Seeded {
  readonly digest: Digest;
  /** Of config and layers. */
  readonly bytes: number;
}

/**
 * Copies an image into the mirror, so that patches may start from it. It is served to those who ask for its digest; its
 * name is not taken over, since nobody has signed it.
 *
 * @param source a layout, an archive, or an engine's image
 * @throws PanamaxError as `openImage`
 */
export async function seed(source: string, context: Context): Promise<Seeded> {
  const { cache, records, limits, platform, log, signal } = context;
  await using scratch = await createScratch(context.scratch);
  const options = { limits, signal, scratch: scratch.path, ...(platform && { platform }) };
  const image = await openImage(await parseReference(source), options);
  const { manifest, manifestBytes, manifestDigest, configBytes, configDigest, layers } = image;
  const repository = releaseNameOf(source)?.repository ?? source;
  const found = { mediaType: manifest.mediaType, digest: manifestDigest, bytes: manifestBytes };
  const { digest, blobs } = await records.addManifest(found, repository);
  if (!cache.isThere(configDigest)) await cache.put(configDigest, configBytes);
  let copied = 0;
  for (const layer of layers) {
    if (cache.isThere(layer.descriptor.digest)) continue;
    await cache.write(layer.descriptor, layer.blob());
    copied += layer.descriptor.size;
  }
  log.info({ source, digest, bytes: copied }, 'source copied');
  return { digest, bytes: blobs.reduce((sum, { size }) => sum + size, 0) };
}

/** Copies several images. One that cannot be read is reported and left out. */
export async function seedAll(sources: readonly string[], context: Context): Promise<void> {
  for (const source of sources) {
    try {
      await seed(source, context);
    } catch (error) {
      context.signal.throwIfAborted();
      context.log.warn({ source, reason: toPanamaxError(error).message }, 'source cannot be copied');
    }
  }
}
