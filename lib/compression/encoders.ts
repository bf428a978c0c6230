import type { BitWriter } from './bits.ts';
import type { Deflater } from './deflater.ts';
import { createGoFast } from './go/fast.ts';
import { createGoLazy } from './go/lazy.ts';
import { createPgzip } from './go/pgzip.ts';
import { createPigz } from './zlib/pigz.ts';
import { createZlib } from './zlib/zlib.ts';
import { createKlauspostZstd, type KlauspostZstdVersion } from './zstd/klauspost.ts';

/** What an encoder makes depends on these, and nothing else. */
export interface EncoderParams {
  /** 1 to 9. */
  readonly level: number;
  /** Input of a block in bytes, of encoders that work on several at a time; 0 of others. */
  readonly blockSize: number;
}

interface Encoder {
  readonly format: 'gzip' | 'zstd';
  readonly create: (params: EncoderParams, out: BitWriter) => Deflater;
  /** Those that it is used with. */
  readonly levels: readonly number[];
  readonly blockSizes?: readonly number[];
}

const ALL_LEVELS = [6, 1, 9, 2, 3, 4, 5, 7, 8];
const PIGZ_BLOCK = 128 * 1024;
/** pgzip's own, and umoci's. */
const PGZIP_BLOCKS = [1024 * 1024, 256 * 1024];
/** What containers/image looks at to tell formats apart, and hands on alone. */
const PEEKED = 8;
export const MIN_BLOCK_SIZE = 32 * 1024 + 1;

function pgzip(version: Parameters<typeof createPgzip>[0]['version']): Encoder {
  return {
    format: 'gzip',
    create: ({ blockSize }, out) => createPgzip({ version, blockSize }, out),
    // there is but its default level
    levels: [5],
    blockSizes: PGZIP_BLOCKS,
  };
}

function klauspostZstd(version: KlauspostZstdVersion, firstSize?: number) {
  return {
    format: 'zstd',
    create: (_: EncoderParams, out: BitWriter) => createKlauspostZstd(version, firstSize, out),
    // the default, by the number that the library has for it
    levels: [2],
  } as const satisfies Encoder;
}

/** By the names that recipes have for them (docs/formats.md), the most frequent first. */
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

/** What is tried on a layer whose encoder is not known, in this order. */
export function candidates(
  format: Encoder['format'],
): { encoder: EncoderName; level: number; blockSize?: number }[] {
  const known = Object.entries(ENCODERS as Record<string, Encoder>);
  return known.flatMap(([name, { format: its, levels, blockSizes }]) => {
    if (its !== format) return [];
    const encoder = name as EncoderName;
    return levels.flatMap((level) =>
      blockSizes ? blockSizes.map((blockSize) => ({ encoder, level, blockSize })) : [{ encoder, level }],
    );
  });
}
