import { PanamaxError } from '../../lib/errors.ts';
import type { Image, Layer } from '../../lib/image/open.ts';
import { isSummaryOf } from '../../lib/pairing/signature/layercolumns.ts';
import type { SignatureResult } from '../../lib/pairing/signature/signaturethread.ts';
import { parseLayerHead } from '../../lib/pairing/signature/storedlayer.ts';
import { keys } from '../../lib/store/keys.ts';
import { MAX_DOCUMENT_SIZE, type Store } from '../../lib/store/objects/store.ts';

export interface FoundLayer {
  readonly layer: Layer;
  /** The stored summary of a layer with this diffID; undefined if it is missing or damaged. */
  readonly summary: Buffer | undefined;
  /** Whether the summary was made from this layer's blob, so that the layer need not be read. */
  readonly isRead: boolean;
}

/** Looks up the summaries of an image's layers. */
export async function findLayers(store: Store, { layers }: Pick<Image, 'layers'>): Promise<FoundLayer[]> {
  const found: FoundLayer[] = [];
  for (const layer of layers) found.push(await findLayer(store, layer));
  return found;
}

async function findLayer(store: Store, layer: Layer): Promise<FoundLayer> {
  const key = keys.layer(layer.diffID);
  const summary = await store.get(key);
  try {
    const isRead = summary !== undefined && isSummaryOf(parseLayerHead(summary, key), layer);
    return { layer, summary, isRead };
  } catch (error) {
    if (!(error instanceof PanamaxError && error.kind === 'bad-input')) throw error;
    return { layer, summary: undefined, isRead: false };
  }
}

/**
 * Stores the summaries of the layers that were read, which replace damaged ones. Of two workers that read the same layer
 * the later one's summary stays: they differ at most in the blobs that they name.
 */
export async function storeLayers(
  store: Store,
  { layers }: Pick<Image, 'layers'>,
  { read, summaries }: Pick<SignatureResult, 'read' | 'summaries'>,
): Promise<void> {
  for (const [i, bytes] of summaries.entries()) {
    // an object that is too large could not be read back
    if (bytes.length > MAX_DOCUMENT_SIZE) continue;
    await store.put(keys.layer(layers[read[i]!]!.diffID), bytes);
  }
}
