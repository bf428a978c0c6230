import { createReadStream } from 'node:fs';
import { streamSize } from '../../../image/record.ts';
import { PatchReader } from '../../patchreader.ts';
import { parseRecipeDocument, type Recipe } from '../../recipe.ts';
import { readPatchHeader } from './container.ts';
import { decodeNative } from './decode.ts';
import { restoreRecipe } from './recipecoder.ts';

const READ_SIZE = 256 * 1024;

/**
 * Reads the recipe of a patch.
 *
 * @param arriving reads the file while it is written
 * @throws PanamaxError `bad-patch`
 */
export async function readNative(
  path: string,
  arriving: () => AsyncIterable<Uint8Array> = () => createReadStream(path),
): Promise<Recipe> {
  const reader = new PatchReader(arriving());
  try {
    const { recipe } = await readPatchHeader(reader);
    return parseRecipeDocument(() => restoreRecipe(recipe), path);
  } finally {
    await reader.close();
  }
}

/**
 * Yields the target's layer stream, not yet verified but for the patch's own checksums.
 *
 * @param source path of the source's layer stream
 * @param scratch a directory for contents of the source's members
 * @param arriving reads the file while it is written
 */
export async function* applyNative(
  path: string,
  source: string,
  recipe: Recipe,
  scratch: string,
  signal?: AbortSignal,
  arriving: () => AsyncIterable<Uint8Array> = () => createReadStream(path, { highWaterMark: READ_SIZE }),
): AsyncGenerator<Uint8Array, void, void> {
  yield* decodeNative(arriving(), {
    source: [{ path: source, offset: 0, size: sourceSize(recipe) }],
    targetSize: streamSize(recipe.target),
    scratch,
    ...(signal && { signal }),
  });
}

/** Of the source's layer stream, in bytes. */
function sourceSize({ source }: Recipe): number {
  return source.layers.reduce((sum, { size }) => sum + size, 0);
}
