import type { Limits } from '../limits.ts';
import type { Digest, Platform } from '../oci/descriptor.ts';
import { openImage } from '../oci/image.ts';
import { parseReference } from '../oci/reference.ts';
import { serveThread } from '../threadmain.ts';
import { computeSignature } from './compute.ts';
import { serializeSignature } from './signature.ts';

/** The body of the thread that computes one signature. */

export interface SignatureTask {
  readonly reference: string;
  readonly platform?: Platform;
  readonly limits: Limits;
  /** A file that is not there yet. */
  readonly scratchPath: string;
}

export interface SignatureResult {
  readonly manifest: Digest;
  /** The signature as it is stored. */
  readonly bytes: Uint8Array;
}

serveThread(async (task: SignatureTask): Promise<SignatureResult> => {
  const image = await openImage(await parseReference(task.reference), task);
  const signature = await computeSignature(image, task.scratchPath, task.limits);
  return { manifest: image.manifestDigest, bytes: serializeSignature(signature) };
});
