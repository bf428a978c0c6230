import { join } from 'node:path';
import type { Limits } from '../limits.ts';
import type { Digest, Platform } from '../oci/descriptor.ts';
import { openImage } from '../oci/image.ts';
import { streamSize } from '../oci/record.ts';
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
  /** Where blobs from registries are kept. */
  readonly blobs?: string;
  readonly known: KnownCompressions;
  /** For the layer stream on scratch, in bytes. */
  readonly room: number;
}

export interface SignatureResult {
  readonly manifest: Digest;
  /** Of the layer stream, in bytes. */
  readonly size: number;
  /** The signature as it is stored. */
  readonly bytes: Uint8Array;
  /** Of the similarity index. */
  readonly sketch: Uint8Array;
  /** Of the layers that were not known. */
  readonly compressions: KnownCompressions;
}

serveThread(async (task: SignatureTask): Promise<SignatureResult> => {
  const image = await openImage(await parseReference(task.reference), task);
  const { known, scratch, limits, room } = task;
  const signature = await computeSignature(image, join(scratch, 'stream'), limits, known, room);
  const compressions = new Map(
    signature.image.layers
      .filter(({ digest }) => !known.has(digest))
      .map(({ digest, compression }) => [digest, compression ?? null]),
  );
  return {
    manifest: image.manifestDigest,
    size: streamSize(signature.image),
    bytes: serializeSignature(signature),
    sketch: sketchOf(signature),
    compressions,
  };
});
