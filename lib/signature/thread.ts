import { join } from 'node:path';
import type { Limits } from '../limits.ts';
import type { Digest, Platform } from '../oci/descriptor.ts';
import { openImage } from '../oci/image.ts';
import { parseReference } from '../oci/reference.ts';
import { sketchOf } from '../pairing/sketch.ts';
import type { KnownCompressions } from '../recompress/known.ts';
import { serveThread } from '../threadmain.ts';
import { computeSignature } from './compute.ts';
import { serializeSignature } from './signature.ts';

/** The body of the thread that computes one signature. */

export interface SignatureTask {
  readonly reference: string;
  readonly platform?: Platform;
  readonly limits: Limits;
  /** A directory of the task's own. */
  readonly scratch: string;
  readonly known: KnownCompressions;
}

export interface SignatureResult {
  readonly manifest: Digest;
  /** The signature as it is stored. */
  readonly bytes: Uint8Array;
  /** Of the similarity index. */
  readonly sketch: Uint8Array;
  /** Of the layers that were not known. */
  readonly compressions: KnownCompressions;
}

serveThread(async (task: SignatureTask): Promise<SignatureResult> => {
  const image = await openImage(await parseReference(task.reference), task);
  const { known, scratch, limits } = task;
  const signature = await computeSignature(image, join(scratch, 'stream'), limits, known);
  const compressions = new Map(
    signature.image.layers
      .filter(({ digest }) => !known.has(digest))
      .map(({ digest, compression }) => [digest, compression ?? null]),
  );
  return {
    manifest: image.manifestDigest,
    bytes: serializeSignature(signature),
    sketch: sketchOf(signature),
    compressions,
  };
});
