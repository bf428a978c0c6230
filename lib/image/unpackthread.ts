import { mkdir, rm } from 'node:fs/promises';
import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { serveThread } from '../runtime/threadmain.ts';
import { unpackImage } from './layerstream.ts';
import type { Platform } from './oci/descriptor.ts';
import { parseReference } from './oci/reference.ts';
import { isEngineTransport } from './oci/transport.ts';
import { openImage, type Image, type ImageOptions, type Layer } from './open.ts';
import { checkManifest } from './stored.ts';

/** Unpacks layers of images in a thread. It reports the diffID of each layer that is written as a step. */

export interface UnpackTask {
  readonly images: readonly UnpackedPart[];
  /** Cache directory for blobs of registries. */
  readonly blobs?: string;
  readonly limits: Limits;
}

export interface UnpackedPart {
  readonly reference: string;
  readonly platform?: Platform;
  /** The expected manifest digest. */
  readonly manifest: Digest;
  /** Layers of the image, at least one. */
  readonly layers: readonly UnpackedLayer[];
}

export interface UnpackedLayer {
  readonly diffID: Digest;
  /** Of the tar, in bytes. */
  readonly size: number;
  /** The file to create. */
  readonly path: string;
}

export const handler = serveThread(async ({ images, blobs, limits }: UnpackTask, onStep): Promise<void> => {
  for (const part of images) {
    const options = { limits, ...(blobs !== undefined && { blobs }) };
    await withImage(part, `${part.layers[0]!.path}.export`, options, async (image) => {
      for (const layer of part.layers) {
        // the manifest is the expected one, and so are its layers
        await writeLayer(
          image.layers.find(({ diffID }) => diffID === layer.diffID)!,
          layer,
          part,
          limits,
        );
        onStep(layer.diffID);
      }
    });
  }
});

/** @throws PanamaxError `bad-input` for a tar of another size than recorded; and as `unpackImage` does */
async function writeLayer(
  layer: Layer,
  { path, size }: UnpackedLayer,
  { reference }: UnpackedPart,
  limits: Limits,
): Promise<void> {
  const bounded = { ...limits, maxImageSize: Math.min(limits.maxImageSize, size) };
  const { parts } = await unpackImage({ reference, layers: [layer] }, path, bounded);
  const found = parts[0]!.size;
  if (found !== size) {
    throw new PanamaxError('bad-input', 'a layer has another size than recorded', {
      expected: size,
      found,
      where: reference,
    });
  }
}

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
