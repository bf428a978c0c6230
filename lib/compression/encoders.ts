import type { BitWriter } from './bits.ts';
import type { Deflater } from './deflater.ts';
import { createGoFast } from './go/fast.ts';
import { createGoLazy } from './go/lazy.ts';
import { createPgzip } from './go/pgzip.ts';
import { createPigz } from './zlib/pigz.ts';
import { createZlib } from './zlib/zlib.ts';
import { createKlauspostZstd, type KlauspostZstdVersion } from './zstd/klauspost.ts';

/**
 * Encoders that make the same bytes as the programs that compress layers. No JavaScript package does: a layer's digest
 * depends on every choice of its encoder.
 */

/** The parameters that determine an encoder's output. */
export interface EncoderParams {
  /** 1 to 9. */
  readonly level: number;
  /** Input per block in bytes, for encoders that compress several blocks in parallel; 0 for others. */
  readonly blockSize: number;
}

interface Encoder {
  readonly format: 'gzip' | 'zstd';
  readonly create: (params: EncoderParams, out: BitWriter) => Deflater;
  /** The levels in use. */
  readonly levels: readonly number[];
  readonly blockSizes?: readonly number[];
}

const ALL_LEVELS = [6, 1, 9, 2, 3, 4, 5, 7, 8];
const PIGZ_BLOCK = 128 * 1024;
/** The defaults of pgzip and umoci. */
const PGZIP_BLOCKS = [1024 * 1024, 256 * 1024];
/** containers/image reads so many bytes to detect the format, and passes them on in a write of their own. */
const PEEKED = 8;
export const MIN_BLOCK_SIZE = 32 * 1024 + 1;

function pgzip(version: Parameters<typeof createPgzip>[0]['version']): Encoder {
  return {
    format: 'gzip',
    create: ({ blockSize }, out) => createPgzip({ version, blockSize }, out),
    // only the default level
    levels: [5],
    blockSizes: PGZIP_BLOCKS,
  };
}

function klauspostZstd(version: KlauspostZstdVersion, firstSize?: number) {
  return {
    format: 'zstd',
    create: (_: EncoderParams, out: BitWriter) => createKlauspostZstd(version, firstSize, out),
    // the library's number of the default
    levels: [2],
  } as const satisfies Encoder;
}

/** Encoders by their names in recipes (docs/formats.md), the most frequent first. */
export const ENCODERS = {
  go: {
    format: 'gzip',
    create: ({ level }, out) => (level === 1 ? createGoFast(out) : createGoLazy(level, out)),
    levels: ALL_LEVELS,
  },
  'pgzip-1.15.10': pgzip('1.15.10'),
  'pgzip-1.18.2': pgzip('1.18.2'),
  'pgzip-1.15.0': pgzip('1.15.0'),
  'pgzip-1.14.4': pgzip('1.14.4'),
  gzip: {
    format: 'gzip',
    create: ({ level }, out) => createZlib(level, 'gzip', out),
    levels: ALL_LEVELS,
  },
  zlib: {
    format: 'gzip',
    create: ({ level }, out) => createZlib(level, 'zlib', out),
    levels: ALL_LEVELS,
  },
  pigz: {
    format: 'gzip',
    create: (params, out) => createPigz({ ...params, isParallel: true }, out),
    levels: ALL_LEVELS,
    blockSizes: [PIGZ_BLOCK],
  },
  'pigz-serial': {
    format: 'gzip',
    create: (params, out) => createPigz({ ...params, isParallel: false }, out),
    levels: ALL_LEVELS,
    blockSizes: [PIGZ_BLOCK],
  },
  'klauspost-zstd-1.13.6': klauspostZstd('1.13.6'),
  'klauspost-zstd-1.17.8': klauspostZstd('1.17.8'),
  'klauspost-zstd-1.17.0': klauspostZstd('1.17.0'),
  'klauspost-zstd-1.16.4': klauspostZstd('1.16.4'),
  'containers-zstd-1.13.6': klauspostZstd('1.13.6', PEEKED),
  'containers-zstd-1.17.8': klauspostZstd('1.17.8', PEEKED),
  'containers-zstd-1.17.0': klauspostZstd('1.17.0', PEEKED),
  'containers-zstd-1.16.4': klauspostZstd('1.16.4', PEEKED),
} as const satisfies Record<string, Encoder>;

export type EncoderName = keyof typeof ENCODERS;

export function isEncoderName(name: string): name is EncoderName {
  return Object.hasOwn(ENCODERS, name);
}

/** A recipe without the header. */
export interface EncoderChoice {
  readonly encoder: EncoderName;
  readonly level: number;
  readonly blockSize?: number;
}

/** The choices to try on a layer, in this order. @param likely the first one, if it has the format */
export function candidates(format: Encoder['format'], likely?: EncoderChoice): EncoderChoice[] {
  const known = Object.entries(ENCODERS as Record<string, Encoder>);
  const all = known.flatMap(([name, { format: its, levels, blockSizes }]) => {
    if (its !== format) return [];
    const encoder = name as EncoderName;
    return levels.flatMap((level): EncoderChoice[] =>
      blockSizes ? blockSizes.map((blockSize) => ({ encoder, level, blockSize })) : [{ encoder, level }],
    );
  });
  const isLikely = ({ encoder, level, blockSize }: EncoderChoice) =>
    encoder === likely?.encoder && level === likely.level && blockSize === likely.blockSize;
  return [...all.filter(isLikely), ...all.filter((choice) => !isLikely(choice))];
}
