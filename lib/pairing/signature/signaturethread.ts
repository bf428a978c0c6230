import type { Digest } from '../../digest.ts';
import type { Limits } from '../../limits.ts';
import type { Platform } from '../../image/oci/descriptor.ts';
import { openImage } from '../../image/open.ts';
import { streamSize } from '../../image/record.ts';
import { parseReference } from '../../image/oci/reference.ts';
import { imageSketchOf } from './imagesketch.ts';
import { serveThread } from '../../runtime/threadmain.ts';
import { computeSignature } from './compute.ts';
import { serializeSignature } from './stored.ts';

/** The entry of the thread that computes one signature. */

export interface SignatureTask {
  readonly reference: string;
  readonly platform?: Platform;
  readonly limits: Limits;
  /** A directory for exports of engines and blobs, which no other task uses. */
  readonly scratch: string;
  /** Directory that keeps blobs from registries. */
  readonly blobs?: string;
}

export interface SignatureResult {
  readonly manifest: Digest;
  /** Size of the layer stream, in bytes. */
  readonly size: number;
  /** The signature in its stored form. */
  readonly bytes: Uint8Array;
  /** The image sketch for the similarity index. */
  readonly sketch: Uint8Array;
}

export const handler = serveThread(async (task: SignatureTask): Promise<SignatureResult> => {
  const image = await openImage(await parseReference(task.reference), task);
  const signature = await computeSignature(image, task.limits);
  return {
    manifest: image.manifestDigest,
    size: streamSize(signature.image),
    bytes: await serializeSignature(signature),
    sketch: imageSketchOf(signature),
  };
});
