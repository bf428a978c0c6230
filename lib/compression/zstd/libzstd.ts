import { pipeline, type TransformOptions } from 'node:stream';
import { constants, createZstdCompress, zstdCompressSync, type ZstdOptions } from 'node:zlib';
import { hasZstdChecksum, zstdContentSize } from './frame.ts';

/**
 * One frame as libzstd makes it of a stream: in one thread, block by block as the input comes, without flushes. Its
 * output changes from version to version, so that the one that Node has makes again what this very one made.
 */
export interface LibzstdRecipe {
  readonly encoder: 'libzstd';
  /** Of libzstd, `1.5.7`. */
  readonly version: string;
  readonly level: number;
  /** The header of the frame, in base64. */
  readonly header: string;
}

/** Those behind (`--ultra`) take windows of 32 MiB and more. */
export const LIBZSTD_LEVELS: readonly number[] = [
  3, 19, 1, 9, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18,
];
/** Of the input, for `libzstdBeginning`. */
export const LIBZSTD_SAMPLE = 256 * 1024;
const CHUNK_SIZE = 128 * 1024;

/** What may have made a frame with this header, of at least so much input. */
export function libzstdRecipes(header: string, inputSize: number): LibzstdRecipe[] {
  const version = process.versions.zstd;
  const size = zstdContentSize(Buffer.from(header, 'base64')) ?? Infinity;
  if (version === undefined || size < inputSize) return [];
  return LIBZSTD_LEVELS.map((level) => ({ encoder: 'libzstd', version, level, header }));
}

/** The blocks that are whole when so much of the input has come. */
export function libzstdBeginning(sample: Uint8Array, recipe: LibzstdRecipe): Buffer {
  return zstdCompressSync(sample, { ...optionsOf(recipe), finishFlush: constants.ZSTD_e_continue });
}

/** Ends early where the input has not the size that the header says. */
export async function* libzstdFrame(
  tar: AsyncIterable<Uint8Array>,
  recipe: LibzstdRecipe,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    // what fails is told by who reads
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
    // no piece waits in the stream when its end comes: Node would end the frame with it, and then begin another
    writableHighWaterMark: 1,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: hasZstdChecksum(bytes) ? 1 : 0,
    },
    ...(size !== undefined && { pledgedSrcSize: size }),
  };
}
