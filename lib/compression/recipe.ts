import { PanamaxError } from '../errors.ts';
import { asRecord, asSize, asString } from '../json.ts';
import { correctionSize, MOST_CORRECTED, type CorrectedRecipe } from './corrected/corrected.ts';
import type { Search } from './corrected/predictor.ts';
import { ENCODERS, isEncoderName, MIN_BLOCK_SIZE, type EncoderName } from './encoders.ts';
import { gzipHeaderSize } from './gzip.ts';
import { zstdContentSize, zstdHeaderSize } from './zstd/frame.ts';
import { LIBZSTD_LEVELS, type LibzstdRecipe } from './zstd/libzstd.ts';

/** A recipe that makes a layer's compressed bytes from its tar, bit for bit (docs/formats.md). */
export type Compression =
  // the layer is stored as plain tar
  { readonly encoder: 'none' } | EncoderRecipe | LibzstdRecipe | CorrectedRecipe;

/** One gzip member, or one zstd frame. */
export interface EncoderRecipe {
  readonly encoder: EncoderName;
  readonly level: number;
  /** In bytes, for encoders with blocks. */
  readonly blockSize?: number;
  /** The header of the member or frame, in base64. */
  readonly header: string;
}

const MAX_CHAIN = 4096;
const MAX_BLOCK_SIZE = 2 ** 30;
const MAX_HEADER_SIZE = 64 * 1024;
const HEADER_SOURCES = { gzip: 'RFC 1952, section 2.3', zstd: 'RFC 8878, section 3.1.1.1' };

/** Size of the header at the start of a member or frame; undefined without a whole header. */
export function headerSize(bytes: Uint8Array, format: 'gzip' | 'zstd'): number | undefined {
  return format === 'gzip' ? gzipHeaderSize(bytes) : zstdHeaderSize(bytes);
}

/**
 * @returns undefined for an unknown encoder
 * @throws PanamaxError `bad-input`
 */
export function parseCompression(value: unknown, where: string): Compression | undefined {
  const record = asRecord(value, where);
  const encoder = asString(record['encoder'], `${where} encoder`);
  if (encoder === 'none') return { encoder };
  if (encoder === 'corrected') return parseCorrected(record, where);
  if (encoder === 'libzstd') return parseLibzstd(record, where);
  if (!isEncoderName(encoder)) return undefined;
  const level = parseLevel(record, ENCODERS[encoder].levels, where);
  const header = parseHeader(record, ENCODERS[encoder].format, where);
  if (!('blockSizes' in ENCODERS[encoder])) return { encoder, level, header };
  const blockSize = asSize(record['blockSize'], `${where} blockSize`);
  if (blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE) {
    throw refused('block size out of range', `${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`, blockSize, where);
  }
  return { encoder, level, blockSize, header };
}

function parseLibzstd(record: Record<string, unknown>, where: string): LibzstdRecipe | undefined {
  const version = asString(record['version'], `${where} version`);
  const level = parseLevel(record, LIBZSTD_LEVELS, where);
  const header = parseHeader(record, 'zstd', where);
  const size = zstdContentSize(Buffer.from(header, 'base64')) ?? 0;
  if (!Number.isSafeInteger(size)) throw refused('content too large', 'at most 2^53 bytes', size, where);
  return version === process.versions.zstd ? { encoder: 'libzstd', version, level, header } : undefined;
}

function parseLevel(record: Record<string, unknown>, levels: readonly number[], where: string): number {
  const level = asSize(record['level'], `${where} level`);
  if (!levels.includes(level)) throw refused('no such level', levels.join(' '), level, where);
  return level;
}

/** In base64. */
function parseHeader(record: Record<string, unknown>, format: 'gzip' | 'zstd', where: string): string {
  const header = asString(record['header'], `${where} header`);
  const bytes = Buffer.from(header, 'base64');
  if (bytes.length > MAX_HEADER_SIZE || headerSize(bytes, format) !== bytes.length) {
    throw refused(`not a header of ${format}`, HEADER_SOURCES[format], bytes.toString('hex', 0, 16), where);
  }
  return header;
}

function parseCorrected(record: Record<string, unknown>, where: string): CorrectedRecipe {
  const correction = asString(record['correction'], `${where} correction`);
  const search = parseSearch(record['search'], `${where} search`);
  const recipe = { encoder: 'corrected', search, correction } as const;
  const size = correctionSize(recipe);
  if (size > MOST_CORRECTED)
    throw refused('correction too large', `at most ${MOST_CORRECTED} bytes`, size, where);
  return recipe;
}

function parseSearch(value: unknown, where: string): Search {
  const { key, shorts, chain, lazyChain, inside } = asRecord(value, where);
  if ((key === 3 || key === 4) && typeof shorts === 'boolean' && [chain, lazyChain, inside].every(isCount)) {
    return { key, shorts, chain, lazyChain, inside } as Search;
  }
  throw refused('no such search', 'docs/formats.md', JSON.stringify(value), where);
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= MAX_CHAIN;
}

function refused(what: string, expected: string, found: string | number, where: string): PanamaxError {
  return new PanamaxError('bad-input', `compression recipe: ${what}`, { expected, found, where });
}
