import { pipeline, type TransformOptions } from 'node:stream';
import { constants, createZstdCompress, zstdCompressSync, type ZstdOptions } from 'node:zlib';
import { hasZstdChecksum, zstdContentSize } from './frame.ts';

/**
 * One frame made by libzstd's streaming interface: in one thread, without flushes. The output differs between
 * versions, so Node's libzstd can only rebuild frames of the same version.
 */
export interface LibzstdRecipe {
  readonly encoder: 'libzstd';
  /** libzstd's version, such as `1.5.7`. */
  readonly version: string;
  readonly level: number;
  /** The frame's header, in base64. */
  readonly header: string;
}

/** Higher levels (`--ultra`) need windows of 32 MiB and more. */
export const LIBZSTD_LEVELS: readonly number[] = [
  3, 19, 1, 9, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18,
];
/** Bytes of input for `libzstdBeginning`. */
export const LIBZSTD_SAMPLE = 256 * 1024;
const CHUNK_SIZE = 128 * 1024;

/** Recipes that may have made a frame with this header. @param inputSize lower bound in bytes */
export function libzstdRecipes(header: string, inputSize: number): LibzstdRecipe[] {
  const version = process.versions.zstd;
  const size = zstdContentSize(Buffer.from(header, 'base64')) ?? Infinity;
  if (version === undefined || size < inputSize) return [];
  return LIBZSTD_LEVELS.map((level) => ({ encoder: 'libzstd', version, level, header }));
}

/** The complete blocks of a frame after the first bytes of its input. */
export function libzstdBeginning(sample: Uint8Array, recipe: LibzstdRecipe): Buffer {
  return zstdCompressSync(sample, { ...optionsOf(recipe), finishFlush: constants.ZSTD_e_continue });
}

/** Compresses a tar to a frame. Ends early if the input does not have the size in the header. */
export async function* libzstdFrame(
  tar: AsyncIterable<Uint8Array>,
  recipe: LibzstdRecipe,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    // the reader throws errors of the pipeline
    yield* pipeline(tar, createZstdCompress(optionsOf(recipe)), () => {});
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ZSTD_error_srcSize_wrong') throw error;
  }
}

function optionsOf({ level, header }: LibzstdRecipe): ZstdOptions & TransformOptions {
  const bytes = Buffer.from(header, 'base64');
  const size = zstdContentSize(bytes);
  return {
    chunkSize: CHUNK_SIZE,
    // no chunk may wait when the input ends: Node would end the frame with that chunk and start another
    writableHighWaterMark: 1,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: hasZstdChecksum(bytes) ? 1 : 0,
    },
    ...(size !== undefined && { pledgedSrcSize: size }),
  };
}
