import type { BitWriter } from './bits.ts';
import type { Deflater } from './deflater.ts';
import { createGoFast } from './gofast.ts';
import { createGoLazy } from './golazy.ts';
import { createPgzip } from './pgzip.ts';
import { createPigz } from './pigz.ts';
import { createZlib } from './zlib.ts';

/** What an encoder makes depends on these, and nothing else. */
export interface EncoderParams {
  /** 1 to 9. */
  readonly level: number;
  /** Input of a block in bytes, of encoders that work on several at a time; 0 of others. */
  readonly blockSize: number;
}

interface Encoder {
  readonly create: (params: EncoderParams, out: BitWriter) => Deflater;
  /** Those that it is used with. */
  readonly levels: readonly number[];
  readonly blockSizes?: readonly number[];
}

const ALL_LEVELS = [6, 1, 9, 2, 3, 4, 5, 7, 8];
const PIGZ_BLOCK = 128 * 1024;
/** pgzip's own, and umoci's. */
const PGZIP_BLOCKS = [1024 * 1024, 256 * 1024];
export const MIN_BLOCK_SIZE = 32 * 1024 + 1;

function pgzip(version: Parameters<typeof createPgzip>[0]['version']): Encoder {
  return {
    create: ({ blockSize }, out) => createPgzip({ version, blockSize }, out),
    // there is but its default level
    levels: [5],
    blockSizes: PGZIP_BLOCKS,
  };
}

/** By the names that recipes have for them (docs/formats.md), the most frequent first. */
export const ENCODERS = {
  go: {
    create: ({ level }, out) => (level === 1 ? createGoFast(out) : createGoLazy(level, out)),
    levels: ALL_LEVELS,
  },
  'pgzip-1.15.10': pgzip('1.15.10'),
  'pgzip-1.18.2': pgzip('1.18.2'),
  'pgzip-1.15.0': pgzip('1.15.0'),
  'pgzip-1.14.4': pgzip('1.14.4'),
  gzip: { create: ({ level }, out) => createZlib(level, 'gzip', out), levels: ALL_LEVELS },
  zlib: { create: ({ level }, out) => createZlib(level, 'zlib', out), levels: ALL_LEVELS },
  pigz: {
    create: (params, out) => createPigz({ ...params, isParallel: true }, out),
    levels: ALL_LEVELS,
    blockSizes: [PIGZ_BLOCK],
  },
  'pigz-serial': {
    create: (params, out) => createPigz({ ...params, isParallel: false }, out),
    levels: ALL_LEVELS,
    blockSizes: [PIGZ_BLOCK],
  },
} as const satisfies Record<string, Encoder>;

export type EncoderName = keyof typeof ENCODERS;

export function isEncoderName(name: string): name is EncoderName {
  return Object.hasOwn(ENCODERS, name);
}

/** What is tried on a layer whose encoder is not known, in this order. */
export function candidates(): { encoder: EncoderName; level: number; blockSize?: number }[] {
  return Object.entries(ENCODERS as Record<string, Encoder>).flatMap(([name, { levels, blockSizes }]) => {
    const encoder = name as EncoderName;
    return levels.flatMap((level) =>
      blockSizes ? blockSizes.map((blockSize) => ({ encoder, level, blockSize })) : [{ encoder, level }],
    );
  });
}
