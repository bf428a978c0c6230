import { createBitWriter } from './bits.ts';
import type { Compressor } from './coder.ts';
import { createCorrected, type CorrectedRecipe } from './corrected/corrected.ts';
import { ENCODERS } from './encoders.ts';
import { createGzipTrailer } from './gzip.ts';
import type { EncoderRecipe } from './recipe.ts';
import { createZstdTrailer } from './zstd/frame.ts';

export function createCompressor(recipe: EncoderRecipe | CorrectedRecipe): Compressor {
  if (recipe.encoder === 'corrected') return createCorrected(recipe);
  const { encoder, header, level, blockSize = 0 } = recipe;
  const { create, format } = ENCODERS[encoder];
  const out = createBitWriter();
  const deflater = create({ level, blockSize }, out);
  const head = Buffer.from(header, 'base64');
  const trailer = format === 'gzip' ? createGzipTrailer() : createZstdTrailer(head);
  out.bytes(head);
  return {
    next(piece) {
      trailer.update(piece);
      deflater.write(piece);
      return out.take();
    },
    end() {
      deflater.finish();
      out.bytes(trailer.bytes());
      return out.take();
    },
  };
}
