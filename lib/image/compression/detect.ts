import { createHash } from 'node:crypto';
import { createCompressor } from '../../compression/compressor.ts';
import {
  correct,
  mostFor,
  nearestSearch,
  type CorrectedRecipe,
} from '../../compression/corrected/corrected.ts';
import { candidates } from '../../compression/encoders.ts';
import { headerSize, type Compression, type EncoderRecipe } from '../../compression/recipe.ts';
import { recompressed } from '../../compression/recompress.ts';
import { recompressedInThread } from '../../compression/threadcompressor.ts';
import {
  LIBZSTD_SAMPLE,
  libzstdBeginning,
  libzstdRecipes,
  type LibzstdRecipe,
} from '../../compression/zstd/libzstd.ts';
import { isKlauspostHeader } from '../../compression/zstd/klauspost.ts';
import type { Digest } from '../../digest.ts';
import { compressionOf } from '../magic.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Layer } from '../open.ts';

/** Bytes of a layer's tar that are compressed to compare encoders. */
const SAMPLE_SIZE = 1024 ** 2;
/** Bytes of the compressed layer to compare with; more than a compressed sample can have. */
const HEAD_SIZE = 4 * 1024 ** 2;
const STEP = 64 * 1024;
/** Smaller blobs are not worth a thread, in bytes. */
const MIN_SHARED = 1024 ** 2;
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

/**
 * Finds the recipe that compressed a layer. Each known encoder compresses a sample; those whose output matches the
 * blob's first bytes compress the whole layer, until one's output has the layer's digest.
 *
 * @param tar the uncompressed layer; called several times
 * @returns undefined if no known encoder makes this layer
 */
export async function findCompression(
  { descriptor, diffID, head }: CompressedLayer,
  tar: () => AsyncIterable<Uint8Array>,
): Promise<Compression | undefined> {
  // the same bytes are the same blob, of any media type
  if (descriptor.digest === diffID) return { encoder: 'none' };
  const format = compressionOf(head);
  if (format !== 'gzip' && format !== 'zstd') return undefined;
  const size = headerSize(head, format);
  if (size === undefined) return undefined;
  const header = Buffer.from(head.subarray(0, size)).toString('base64');
  const sample = await firstBytes(tar(), SAMPLE_SIZE + 1);
  const isWhole = sample.length <= SAMPLE_SIZE;
  let attempts = 0;
  for (const recipe of recipesWith(header, format, sample.length)) {
    if (isWhole) {
      if (await makesWhole(recipe, inSteps(sample), head, descriptor)) return recipe;
      continue;
    }
    if (!makesBeginning(recipe, sample, head)) continue;
    if (await makesWhole(recipe, tar(), head, descriptor)) return recipe;
    if (++attempts === MAX_ATTEMPTS) return undefined;
  }
  return undefined;
}

/** @param size lower bound of the tar's size, in bytes */
function recipesWith(
  header: string,
  format: 'gzip' | 'zstd',
  size: number,
): (EncoderRecipe | LibzstdRecipe)[] {
  const isForeign = format === 'zstd' && !isKlauspostHeader(Buffer.from(header, 'base64'), size);
  const recipes = isForeign ? [] : candidates(format).map((candidate) => ({ ...candidate, header }));
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
  }
  return true;
}

/** Whether a recipe makes a blob from its tar; large ones in a thread. @param head the blob's first bytes, to fail early; may be empty */
export async function makesWhole(
  recipe: EncoderRecipe | LibzstdRecipe | CorrectedRecipe,
  tar: AsyncIterable<Uint8Array>,
  head: Uint8Array,
  { digest, size }: { readonly digest: string; readonly size: number },
): Promise<boolean> {
  const hash = createHash('sha256');
  let done = 0;
  const pieces = size < MIN_SHARED ? recompressed(tar, recipe) : recompressedInThread(tar, recipe);
  for await (const made of pieces) {
    if (!isPart(head, done, made)) return false;
    done += made.length;
    if (done > size) return false;
    hash.update(made);
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
