import { PanamaxError } from '../errors.ts';
import { asRecord, asSize, asString } from '../oci/descriptor.ts';
import { ENCODERS, isEncoderName, MIN_BLOCK_SIZE, type EncoderName } from './encoders.ts';
import { gzipHeaderSize } from './gzip.ts';

/** How a layer was compressed: what makes its compressed bytes out of its tar, bit for bit (docs/formats.md). */
export type Compression =
  /** The manifest names the tar itself. */
  { readonly encoder: 'none' } | GzipRecipe;

/** One gzip member. */
export interface GzipRecipe {
  readonly encoder: EncoderName;
  readonly level: number;
  /** In bytes, of encoders that have blocks. */
  readonly blockSize?: number;
  /** The gzip header, in base64. */
  readonly header: string;
}

const MAX_BLOCK_SIZE = 2 ** 30;
const MAX_HEADER_SIZE = 64 * 1024;

/**
 * @returns undefined for an encoder that this version does not know
 * @throws PanamaxError `bad-input`
 */
export function parseCompression(value: unknown, where: string): Compression | undefined {
  const record = asRecord(value, where);
  const encoder = asString(record['encoder'], `${where} encoder`);
  if (encoder === 'none') return { encoder };
  if (!isEncoderName(encoder)) return undefined;
  const level = asSize(record['level'], `${where} level`);
  const { levels }: { readonly levels: readonly number[] } = ENCODERS[encoder];
  if (!levels.includes(level)) throw refused('no such level', levels.join(' '), level, where);
  const header = asString(record['header'], `${where} header`);
  const bytes = Buffer.from(header, 'base64');
  if (bytes.length > MAX_HEADER_SIZE || gzipHeaderSize(bytes) !== bytes.length) {
    throw refused('not a gzip header', 'RFC 1952, section 2.3', bytes.toString('hex', 0, 16), where);
  }
  if (!('blockSizes' in ENCODERS[encoder])) return { encoder, level, header };
  const blockSize = asSize(record['blockSize'], `${where} blockSize`);
  if (blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE) {
    throw refused('block size out of range', `${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`, blockSize, where);
  }
  return { encoder, level, blockSize, header };
}

function refused(what: string, expected: string, found: string | number, where: string): PanamaxError {
  return new PanamaxError('bad-input', `compression recipe: ${what}`, { expected, found, where });
}
