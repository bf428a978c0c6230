import type { Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import type { Limits } from '../../limits.ts';
import type { Platform } from '../../image/oci/descriptor.ts';
import { openImage } from '../../image/open.ts';
import { parseReference } from '../../image/oci/reference.ts';
import { imageSketchOf } from './imagesketch.ts';
import { serveThread } from '../../runtime/threadmain.ts';
import { computeSignature } from './compute.ts';
import { isSummaryOf, withBlobs, type LayerSummary } from './layercolumns.ts';
import { serializeSignature } from './stored.ts';
import { parseLayer, serializeLayer } from './storedlayer.ts';

/** The entry of the thread that computes one signature. */

export interface SignatureTask {
  readonly reference: string;
  readonly platform?: Platform;
  readonly limits: Limits;
  /** A directory for exports of engines and blobs, which no other task uses. */
  readonly scratch: string;
  /** Directory that keeps blobs from registries. */
  readonly blobs?: string;
  /**
   * Stored summaries of layers, bottom first; undefined for those that are missing. A layer is read if its summary is
   * missing or damaged, or was made from another blob.
   */
  readonly summaries: readonly (Uint8Array | undefined)[];
}

export interface SignatureResult {
  readonly manifest: Digest;
  /** Size of the layers that were read, in bytes. */
  readonly size: number;
  /** The signature in its stored form. */
  readonly bytes: Uint8Array;
  /** The image sketch for the similarity index. */
  readonly sketch: Uint8Array;
  /** Indices of the layers that were read. */
  readonly read: readonly number[];
  /** Their summaries in their stored form. */
  readonly summaries: readonly Uint8Array[];
}

export const handler = serveThread(async (task: SignatureTask): Promise<SignatureResult> => {
  const image = await openImage(await parseReference(task.reference), task);
  const stored = await Promise.all(task.summaries.map(soundLayer));
  const known = image.layers.map((layer, i) => {
    const summary = stored[i];
    return summary && isSummaryOf(summary, layer) ? summary : undefined;
  });
  const read = new Map<number, LayerSummary>();
  const signature = await computeSignature(image, task.limits, known, (summary, i) => {
    read.set(i, withBlobs(summary, stored[i]));
  });
  return {
    manifest: image.manifestDigest,
    size: read.values().reduce((sum, { size }) => sum + size, 0),
    bytes: await serializeSignature(signature),
    sketch: imageSketchOf(signature),
    summaries: await Promise.all(read.values().map(serializeLayer)),
    read: [...read.keys()],
  };
});

/** Undefined for a summary that is missing or damaged: its layer is read. */
async function soundLayer(bytes: Uint8Array | undefined): Promise<LayerSummary | undefined> {
  try {
    return bytes && (await parseLayer(bytes, 'layer summary'));
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}
