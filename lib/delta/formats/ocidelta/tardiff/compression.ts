import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib';
import type { Effort } from '../../../align/alignment.ts';

interface Parameters {
  readonly strategy: number;
  readonly windowLog: number;
  readonly hashLog: number;
  readonly chainLog: number;
  readonly searchLog: number;
  readonly minMatch: number;
  readonly targetLength: number;
}

/**
 * zstd's parameters, none left to a level. A minimum match of 3 matters for code. A match may run through a whole tar
 * header and more: with the 256 of level 19 a patch of headers is a tenth larger. `best` saves 2 to 4 percent over
 * `default`, in twice the time. Memory is 16 MiB for the window, about as much for buffers, and
 * 4 bytes for each entry of the two tables.
 */
const PARAMETERS: Readonly<Record<Effort, Parameters>> = {
  fast: {
    strategy: constants.ZSTD_lazy2,
    windowLog: 24,
    hashLog: 21,
    chainLog: 22,
    searchLog: 4,
    minMatch: 5,
    targetLength: 32,
  },
  default: {
    strategy: constants.ZSTD_btopt,
    windowLog: 24,
    hashLog: 21,
    chainLog: 21,
    searchLog: 4,
    minMatch: 3,
    targetLength: 1024,
  },
  best: {
    strategy: constants.ZSTD_btultra2,
    windowLog: 24,
    hashLog: 22,
    chainLog: 24,
    searchLog: 9,
    minMatch: 3,
    targetLength: 4095,
  },
};

/** The zstd compressor for the operations of a tar-diff. */
export function createCompressor(effort: Effort): ZstdCompress {
  const parameters = PARAMETERS[effort];
  return createZstdCompress({
    chunkSize: 128 * 1024,
    params: {
      [constants.ZSTD_c_compressionLevel]: 22,
      [constants.ZSTD_c_strategy]: parameters.strategy,
      [constants.ZSTD_c_windowLog]: parameters.windowLog,
      [constants.ZSTD_c_hashLog]: parameters.hashLog,
      [constants.ZSTD_c_chainLog]: parameters.chainLog,
      [constants.ZSTD_c_searchLog]: parameters.searchLog,
      [constants.ZSTD_c_minMatch]: parameters.minMatch,
      [constants.ZSTD_c_targetLength]: parameters.targetLength,
    },
  });
}
