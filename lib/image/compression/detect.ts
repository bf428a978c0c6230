import { createHash } from 'node:crypto';
import { createCompressor } from '../../compression/compressor.ts';
import {
  correct,
  mostFor,
  nearestSearch,
  type CorrectedRecipe,
} from '../../compression/corrected/corrected.ts';
import { candidates, type EncoderChoice } from '../../compression/encoders.ts';
import { headerSize, type Compression, type EncoderRecipe } from '../../compression/recipe.ts';
import { recompressed } from '../../compression/recompress.ts';
import {
  LIBZSTD_SAMPLE,
  libzstdBeginning,
  libzstdRecipes,
  type LibzstdRecipe,
} from '../../compression/zstd/libzstd.ts';
import { isKlauspostHeader } from '../../compression/zstd/klauspost.ts';
import type { Digest } from '../../digest.ts';
import { free } from '../../runtime/memory.ts';
import { compressionOf } from '../magic.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Layer } from '../open.ts';

/** Bytes of a layer's tar that are compressed to compare encoders. */
const SAMPLE_SIZE = 1024 ** 2;
/** The same of a layer of which a sample is enough. */
const LARGE_SAMPLE_SIZE = 4 * 1024 ** 2;
/** Bytes of the compressed layer to compare with; more than a compressed sample can have. */
const HEAD_SIZE = 4 * 1024 ** 2;
const STEP = 64 * 1024;
/** Attempts to compress a whole layer. */
const MAX_ATTEMPTS = 4;

/** A layer whose encoder is searched. */
export interface CompressedLayer {
  readonly descriptor: Descriptor;
  readonly diffID: Digest;
  /** The first bytes of its blob, from `readHead`. */
  readonly head: Uint8Array;
}

export async function readHead(layer: Pick<Layer, 'blob'>): Promise<Uint8Array> {
  return firstBytes(layer.blob(), HEAD_SIZE);
}

export interface SearchOptions {
  /** Is tried first, since one encoder mostly makes all layers of an image. */
  readonly likely?: EncoderChoice;
  /** Whether the beginning of a large layer suffices: it is not compressed as a whole. */
  readonly isSampled?: boolean;
}

/**
 * Finds the recipe that compressed a layer. Each known encoder compresses a sample; those whose output matches the
 * blob's first bytes compress the whole layer, until one's output has the layer's digest.
 *
 * @param tar the uncompressed layer; called several times
 * @returns undefined if no known encoder makes this layer
 */
export async function findCompression(
  layer: CompressedLayer,
  tar: () => AsyncIterable<Uint8Array>,
  { likely, isSampled = false }: SearchOptions = {},
): Promise<Compression | undefined> {
  const { descriptor, diffID, head } = layer;
  // the same bytes are the same blob, of any media type
  if (descriptor.digest === diffID) return { encoder: 'none' };
  const size = isSampled ? LARGE_SAMPLE_SIZE : SAMPLE_SIZE;
  const sample = await firstBytes(tar(), size + 1);
  const isWhole = sample.length <= size;
  let attempts = 0;
  for (const recipe of recipesFor(layer, sample.length, likely)) {
    if (isWhole) {
      if (await makesWhole(recipe, inSteps(sample), head, descriptor)) return recipe;
      continue;
    }
    if (!makesBeginning(recipe, sample, head)) continue;
    // of libzstd's output only the first blocks are compared
    if (isSampled && recipe.encoder !== 'libzstd') return recipe;
    if (await makesWhole(recipe, tar(), head, descriptor)) return recipe;
    if (++attempts === MAX_ATTEMPTS) return undefined;
  }
  return undefined;
}

/** The first encoder that makes the beginning of a layer. */
export async function likelyEncoder(
  layer: CompressedLayer,
  tar: () => AsyncIterable<Uint8Array>,
): Promise<EncoderChoice | undefined> {
  if (layer.descriptor.digest === layer.diffID) return undefined;
  const sample = await firstBytes(tar(), SAMPLE_SIZE);
  for (const recipe of recipesFor(layer, sample.length)) {
    if (recipe.encoder === 'libzstd') return undefined;
    if (!makesBeginning(recipe, sample, layer.head)) continue;
    const { header: _, ...choice } = recipe;
    return choice;
  }
  return undefined;
}

/**
 * The recipes to try.
 *
 * @param size lower bound of the tar's size, in bytes
 */
function recipesFor(
  { head }: CompressedLayer,
  size: number,
  likely?: EncoderChoice,
): (EncoderRecipe | LibzstdRecipe)[] {
  const format = compressionOf(head);
  if (format !== 'gzip' && format !== 'zstd') return [];
  const end = headerSize(head, format);
  if (end === undefined) return [];
  const bytes = head.subarray(0, end);
  const header = Buffer.from(bytes).toString('base64');
  const isForeign = format === 'zstd' && !isKlauspostHeader(bytes, size);
  const choices = isForeign ? [] : candidates(format, likely);
  const recipes = choices.map((choice) => ({ ...choice, header }));
  return format === 'zstd' ? [...recipes, ...libzstdRecipes(header, size)] : recipes;
}

/** Whether `findCorrection` can be tried for a layer. */
export function isCorrectable({ descriptor, diffID, head }: CompressedLayer): boolean {
  return descriptor.digest !== diffID && compressionOf(head) === 'gzip';
}

/**
 * Finds the differences of a layer from the output of the most similar encoder, for layers that no known encoder makes.
 *
 * @param tar the uncompressed layer; called several times
 * @returns undefined if the differences are not small
 */
export async function findCorrection(
  { descriptor, head }: CompressedLayer,
  blob: () => AsyncIterable<Uint8Array>,
  tar: () => AsyncIterable<Uint8Array>,
): Promise<CorrectedRecipe | undefined> {
  const search = nearestSearch(head, await firstBytes(tar(), SAMPLE_SIZE));
  if (!search) return undefined;
  const correction = await correct({ blob, text: tar }, search, mostFor(descriptor.size));
  if (!correction) return undefined;
  const recipe = {
    encoder: 'corrected',
    search,
    correction: Buffer.from(correction).toString('base64'),
  } as const;
  return (await makesWhole(recipe, tar(), head, descriptor)) ? recipe : undefined;
}

function makesBeginning(
  recipe: EncoderRecipe | LibzstdRecipe,
  sample: Uint8Array,
  head: Uint8Array,
): boolean {
  if (recipe.encoder === 'libzstd') {
    return isPart(head, 0, libzstdBeginning(sample.subarray(0, LIBZSTD_SAMPLE), recipe));
  }
  const compressor = createCompressor(recipe);
  let done = 0;
  for (let at = 0; at < sample.length; at += STEP) {
    const made = compressor.next(sample.subarray(at, at + STEP));
    if (!isPart(head, done, made)) return false;
    done += made.length;
    free(made);
  }
  return true;
}

/** Whether a recipe makes a blob from its tar. @param head the blob's first bytes, to fail early; may be empty */
export async function makesWhole(
  recipe: EncoderRecipe | LibzstdRecipe | CorrectedRecipe,
  tar: AsyncIterable<Uint8Array>,
  head: Uint8Array,
  { digest, size }: { readonly digest: string; readonly size: number },
): Promise<boolean> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const made of recompressed(tar, recipe)) {
    if (!isPart(head, done, made)) return false;
    done += made.length;
    if (done > size) return false;
    hash.update(made);
    free(made);
  }
  return done === size && `sha256:${hash.digest('hex')}` === digest;
}

/** Whether `head` has these bytes at `start`, as far as it goes. */
function isPart(head: Uint8Array, start: number, bytes: Uint8Array): boolean {
  const expected = head.subarray(start, start + bytes.length);
  return Buffer.compare(bytes.subarray(0, expected.length), expected) === 0;
}

async function* inSteps(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += STEP) yield bytes.subarray(at, at + STEP);
}

/** Up to `size` bytes of a stream, which is not read further. */
async function firstBytes(chunks: AsyncIterable<Uint8Array>, size: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let left = size;
  for await (const chunk of chunks) {
    // copied, because the stream may reuse its buffer
    pieces.push(Buffer.from(chunk.subarray(0, left)));
    left -= chunk.length;
    if (left <= 0) break;
  }
  return Buffer.concat(pieces);
}
