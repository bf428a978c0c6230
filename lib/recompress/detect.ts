import { createHash } from 'node:crypto';
import { compressionOf } from '../oci/decompress.ts';
import type { Descriptor, Digest } from '../oci/descriptor.ts';
import type { Layer } from '../oci/image.ts';
import { candidates } from './encoders.ts';
import { createGzip, gzipHeaderSize } from './gzip.ts';
import type { Compression, GzipRecipe } from './recipe.ts';

/** Of a layer's tar, to tell encoders apart by. */
const SAMPLE_SIZE = 1024 ** 2;
/** Of the compressed layer, to compare with; more than the sample can take. */
const HEAD_SIZE = 4 * 1024 ** 2;
const STEP = 64 * 1024;
/** Whole layers that are compressed in vain, at most. */
const MAX_ATTEMPTS = 4;

/** A layer, as far as it tells how it was compressed. */
export interface CompressedLayer {
  readonly descriptor: Descriptor;
  readonly diffID: Digest;
  /** The beginning of its blob, from `readHead`. */
  readonly head: Uint8Array;
}

export async function readHead(layer: Pick<Layer, 'blob'>): Promise<Uint8Array> {
  return firstBytes(layer.blob(), HEAD_SIZE);
}

/**
 * Finds how a layer was compressed. The encoders that make the beginning of it compress all of it, until one's
 * output has the layer's digest.
 *
 * @param tar the layer uncompressed, as often as it is asked for
 * @returns undefined where none of the encoders known makes this layer
 */
export async function findCompression(
  { descriptor, diffID, head }: CompressedLayer,
  tar: () => AsyncIterable<Uint8Array>,
): Promise<Compression | undefined> {
  const { digest, mediaType, size } = descriptor;
  if (digest === diffID) return mediaType.endsWith('.tar') ? { encoder: 'none' } : undefined;
  const headerSize = gzipHeaderSize(head);
  if (compressionOf(head) !== 'gzip' || headerSize === undefined) return undefined;
  const header = Buffer.from(head.subarray(0, headerSize)).toString('base64');
  const sample = await firstBytes(tar(), SAMPLE_SIZE + 1);
  const isWhole = sample.length <= SAMPLE_SIZE;
  let attempts = 0;
  for (const candidate of candidates()) {
    const recipe = { ...candidate, header };
    if (!makesBeginning(recipe, sample.subarray(0, SAMPLE_SIZE), isWhole, head)) continue;
    if (await makesWhole(recipe, tar(), head, { digest, size })) return recipe;
    if (++attempts === MAX_ATTEMPTS) return undefined;
  }
  return undefined;
}

function makesBeginning(recipe: GzipRecipe, sample: Uint8Array, isWhole: boolean, head: Uint8Array): boolean {
  const gzip = createGzip(recipe);
  let done = 0;
  const isEqual = (made: Uint8Array) => {
    const expected = head.subarray(done, done + made.length);
    done += made.length;
    return Buffer.compare(made.subarray(0, expected.length), expected) === 0;
  };
  for (let at = 0; at < sample.length; at += STEP) {
    if (!isEqual(gzip.next(sample.subarray(at, at + STEP)))) return false;
  }
  return !isWhole || isEqual(gzip.end());
}

async function makesWhole(
  recipe: GzipRecipe,
  tar: AsyncIterable<Uint8Array>,
  head: Uint8Array,
  { digest, size }: { readonly digest: string; readonly size: number },
): Promise<boolean> {
  const gzip = createGzip(recipe);
  const hash = createHash('sha256');
  let done = 0;
  const add = (made: Uint8Array) => {
    const expected = head.subarray(done, done + made.length);
    if (Buffer.compare(made.subarray(0, expected.length), expected) !== 0) return false;
    done += made.length;
    hash.update(made);
    return done <= size;
  };
  for await (const piece of tar) {
    if (!add(gzip.next(piece))) return false;
  }
  return add(gzip.end()) && done === size && `sha256:${hash.digest('hex')}` === digest;
}

/** At most so many bytes of a stream, which is not read further. */
async function firstBytes(chunks: AsyncIterable<Uint8Array>, size: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let left = size;
  for await (const chunk of chunks) {
    // the buffer may be used again
    pieces.push(Buffer.from(chunk.subarray(0, left)));
    left -= chunk.length;
    if (left <= 0) break;
  }
  return Buffer.concat(pieces);
}
