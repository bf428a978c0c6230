import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { PanamaxError } from '../../../errors.ts';
import { streamSize } from '../../../image/record.ts';
import { parseRecipe, type Recipe } from '../../recipe.ts';
import { decodeVcdiff } from './vcdiff/decode/decode.ts';
import { readVcdiffHeader } from './vcdiff/header.ts';
import { fileAccess } from '../../randomaccess.ts';

/** The `xdelta` format: VCDIFF from layer stream to layer stream, the recipe in its application header. */

const READ_SIZE = 256 * 1024;

/**
 * Reads the recipe of a patch.
 *
 * @param arriving reads the file while it is written
 * @throws PanamaxError `bad-patch`
 */
export async function readXdelta(
  path: string,
  arriving: () => AsyncIterable<Uint8Array> = () => createReadStream(path),
): Promise<Recipe> {
  const { appHeader } = await readVcdiffHeader(arriving());
  if (!appHeader) throw new PanamaxError('bad-patch', 'patch without a recipe', { where: path });
  return parseRecipe(Buffer.from(appHeader).toString('latin1'), path);
}

/**
 * Yields the target's layer stream; only the patch's own checksums are verified. Each piece is valid until the next
 * one is requested.
 *
 * @param source path of the source's layer stream
 * @param arriving reads the file while it is written
 */
export async function* applyXdelta(
  path: string,
  source: string,
  recipe: Recipe,
  signal?: AbortSignal,
  arriving: () => AsyncIterable<Uint8Array> = () => createReadStream(path, { highWaterMark: READ_SIZE }),
): AsyncGenerator<Uint8Array, void, void> {
  await using file = await open(source);
  const options = { maxTargetSize: streamSize(recipe.target), ...(signal && { signal }) };
  yield* decodeVcdiff(arriving(), await fileAccess(file), options);
}
