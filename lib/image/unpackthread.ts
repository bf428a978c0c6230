import { mkdir, rm } from 'node:fs/promises';
import type { Digest } from '../digest.ts';
import type { Limits } from '../limits.ts';
import { serveThread } from '../runtime/threadmain.ts';
import { openSpool, type LayerStream } from './layerstream.ts';
import type { Platform } from './oci/descriptor.ts';
import { parseReference } from './oci/reference.ts';
import { isEngineTransport } from './oci/transport.ts';
import { openImage, type Image, type ImageOptions } from './open.ts';
import { checkManifest } from './stored.ts';

/** Unpacks an image, or several images as one source, in a thread. */

export interface UnpackTask {
  readonly images: readonly UnpackedPart[];
  /** The file to create. */
  readonly path: string;
  /** Cache directory for blobs of registries. */
  readonly blobs?: string;
  readonly limits: Limits;
}

export interface UnpackedPart {
  readonly reference: string;
  readonly platform?: Platform;
  /** The expected manifest digest. */
  readonly manifest: Digest;
}

export const handler = serveThread(
  async ({ images, path, blobs, limits }: UnpackTask): Promise<LayerStream> => {
    const where = images.map(({ reference }) => reference).join(' + ');
    await using spool = await openSpool({ reference: where }, path, limits);
    const seen = new Set<Digest>();
    for (const part of images) {
      await withImage(
        part,
        `${path}.export`,
        { limits, ...(blobs !== undefined && { blobs }) },
        async ({ layers }) => {
          for (const layer of layers) {
            // a single image keeps its repeated layers, a combination does not (combineRecords)
            if (images.length > 1 && seen.has(layer.diffID)) continue;
            seen.add(layer.diffID);
            for await (const _ of spool.add(layer));
          }
        },
      );
    }
    return { path, layerSizes: spool.layerSizes };
  },
);

/** @param scratch a directory to create for an engine's export */
async function withImage(
  part: UnpackedPart,
  scratch: string,
  options: Pick<ImageOptions, 'blobs' | 'limits'>,
  action: (image: Image) => Promise<void>,
): Promise<void> {
  const reference = await parseReference(part.reference);
  const read = async (more: { readonly scratch?: string }) =>
    action(checkManifest(await openImage(reference, { ...part, ...options, ...more }), part.manifest));
  if (!isEngineTransport(reference.transport)) return read({});
  await mkdir(scratch);
  try {
    await read({ scratch });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
