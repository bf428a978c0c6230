import { serveThread } from '../runtime/threadmain.ts';
import type { Compressor } from './coder.ts';
import { createCompressor } from './compressor.ts';
import type { CorrectedRecipe } from './corrected/corrected.ts';
import type { EncoderRecipe } from './recipe.ts';

/** The body of a thread that compresses one layer, piece by piece. */

export type CompressStep =
  | { readonly kind: 'begin'; readonly recipe: EncoderRecipe | CorrectedRecipe }
  | { readonly kind: 'piece'; readonly piece: Uint8Array }
  | { readonly kind: 'end' };

/** The compressed bytes that are ready, in memory of their own. */
export interface CompressedBytes {
  readonly bytes: Uint8Array;
}

let compressor: Compressor;

export const handler = serveThread((step: CompressStep): CompressedBytes => {
  if (step.kind === 'begin') {
    compressor = createCompressor(step.recipe);
    return { bytes: new Uint8Array(0) };
  }
  return { bytes: step.kind === 'piece' ? compressor.next(step.piece) : compressor.end() };
});
