import type { Compression } from '../../compression/recipe.ts';
import { serializeRecipe, sourceRecord } from '../../delta/recipe.ts';
import { withCompressions, type ImageRecord } from '../../image/record.ts';

/** The most common compression, assumed for the recipe's size because a signature does not contain it. */
const COMPRESSION: Compression = { encoder: 'go', level: 6, header: 'H4sIAAAAAAAA/w==' };

/**
 * Bytes of the recipe in a patch to an image, without the source's layers: their digests' compressed sizes would be noise
 * between equally good sources.
 */
export function recipeSizeOf(target: ImageRecord): number {
  const image = withCompressions(
    target,
    target.layers.map(() => COMPRESSION),
  );
  return serializeRecipe({ source: { ...sourceRecord(image), layers: [] }, target: image }).length;
}
