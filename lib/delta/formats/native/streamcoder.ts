import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PanamaxError } from '../../../errors.ts';
import { Lzma2Encoder, type EncoderSettings } from '../../../compression/lzma/lzma2encoder.ts';
import { xzPrologue } from '../../../compression/lzma/xz.ts';
import { XzDecoder } from '../../../compression/lzma/xzdecoder.ts';
import type { Effort } from '../../align/alignment.ts';
import { free } from '../../../runtime/memory.ts';
import { FreshDecoder, FreshEncoder } from './freshcoder.ts';
import { FRESH, STREAM_FORMS, type StreamForm } from './streams.ts';

/** Compresses one stream of a patch: by LZMA2 or a mixer over all of the patch, or by zstd batch by batch. */

export const ZSTD = 0;
export const LZMA = 1;
/** LZMA for new bytes; all else is one stream that a mixer coded, which stays as it is. */
export const MIXED = 2;
/** Likewise, with new bytes by a mixer of their own. */
export const ALL_MIXED = 3;
export const CODINGS = 4;

export const isMixed = (coding: number): boolean => coding >= MIXED;

/** More new bytes fill the window of LZMA: a reader has no memory left for the tables of a mixer. */
const MAX_MIXED_FRESH = STREAM_FORMS[FRESH]!.window;
/** The mixer of new bytes takes some 2 s per MiB, here and at the site. */
const MAX_ALL_MIXED_FRESH = 4 * 1024 ** 2;

/** @param fresh new bytes of the patch */
export function codingFor(effort: Effort, fresh: number): number {
  if (effort === 'fast') return ZSTD;
  if (effort !== 'best' || fresh > MAX_MIXED_FRESH) return LZMA;
  return fresh > MAX_ALL_MIXED_FRESH ? MIXED : ALL_MIXED;
}

/** Level 15 takes five times as long for one percent fewer bytes. */
const ZSTD_LEVEL = 10;

type Settings = Pick<EncoderSettings, 'rowCountBits' | 'depth' | 'niceLength' | 'optimal'>;
const LAZY: Settings = { rowCountBits: 17, depth: 8, niceLength: 128, optimal: false };
const OPTIMAL: Settings = { rowCountBits: 17, depth: 8, niceLength: 64, optimal: true };
const BEST: Settings = { rowCountBits: 18, depth: 16, niceLength: 273, optimal: true };
const SMALL: Settings = { rowCountBits: 14, depth: 8, niceLength: 64, optimal: true };

export interface StreamSettings {
  readonly effort: Effort;
  readonly coding: number;
  /** Whether there is so much new that time counts more than the last percents. */
  readonly much: boolean;
}

export interface StreamEncoder {
  /** Compresses the next bytes. */
  compress(bytes: Uint8Array): Uint8Array;
  /** Takes note of bytes that another encoder of the same stream compresses. */
  skip(bytes: Uint8Array): void;
}

export function createStreamEncoder(stream: number, settings: StreamSettings): StreamEncoder {
  const { effort, coding, much } = settings;
  if (coding === ZSTD) {
    const params = { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_contentSizeFlag]: 0 };
    return { compress: (bytes) => zstdCompressSync(bytes, { params }), skip: () => undefined };
  }
  if (isMixed(coding) && stream !== FRESH) return { compress: (bytes) => bytes, skip: () => undefined };
  if (coding === ALL_MIXED) {
    const encoder = new FreshEncoder();
    return { compress: (bytes) => encoder.encode(bytes), skip: (bytes) => void encoder.encode(bytes) };
  }
  const { window, maxPiece, lc } = STREAM_FORMS[stream]!;
  const ofFresh = effort === 'best' ? BEST : much ? LAZY : OPTIMAL;
  const encoder = new Lzma2Encoder({
    properties: { lc, lp: 0, pb: 0 },
    maxPiece,
    window,
    ...(stream === FRESH ? ofFresh : SMALL),
  });
  return {
    compress: (bytes) =>
      Buffer.concat(
        [...piecesOf(bytes, maxPiece)].map((piece) => Buffer.concat(encoder.encode(piece, [piece.length]))),
      ),
    skip(bytes) {
      for (const piece of piecesOf(bytes, maxPiece)) encoder.skip(piece);
    },
  };
}

function* piecesOf(bytes: Uint8Array, size: number): Generator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Decompresses one batch after the other. */
export interface StreamDecoder {
  /** Starts on a batch of `size` bytes once decompressed. @throws PanamaxError `bad-patch` */
  open(compressed: Uint8Array<ArrayBuffer>, size: number): void;
  /** The next bytes, in memory of their own. @throws PanamaxError `bad-patch` */
  take(size: number): Uint8Array<ArrayBuffer>;
  /** @throws PanamaxError `bad-patch` unless all of the batch was used */
  close(): void;
}

export function createStreamDecoder(stream: number, coding: number): StreamDecoder {
  if (coding === ZSTD) return wholeDecoder(decompressed);
  if (isMixed(coding) && stream !== FRESH) return wholeDecoder(asStored);
  if (coding === ALL_MIXED) return freshDecoder();
  return lzmaDecoder(STREAM_FORMS[stream]!);
}

function lzmaDecoder({ window }: StreamForm): StreamDecoder {
  let decoder: XzDecoder | undefined;
  let input: Uint8Array = new Uint8Array();
  return {
    open(compressed) {
      input = compressed;
      if (compressed.length === 0) return;
      if (decoder) decoder.open(compressed);
      else {
        decoder = new XzDecoder(window);
        // headers of .xz are the same in all patches, and no part of them
        decoder.open(new Uint8Array(Buffer.concat([xzPrologue(window), compressed])));
      }
    },
    take(size) {
      const bytes = new Uint8Array(size);
      if (size === 0) return bytes;
      if (!decoder) throw new PanamaxError('bad-patch', 'a stream ends early');
      decoder.read(bytes, 0, size);
      return bytes;
    },
    close() {
      decoder?.finish();
      free(input);
    },
  };
}

/** Its models are made for the first new bytes: many patches have none. */
function freshDecoder(): StreamDecoder {
  let decoder: FreshDecoder | undefined;
  return {
    open(compressed, size) {
      if (size > 0 || compressed.length > 0) (decoder ??= new FreshDecoder()).open(compressed);
    },
    take: (size) => (size === 0 ? new Uint8Array() : decoder!.take(size)),
    // a section without new bytes leaves the run before as it ended
    close: () => decoder?.close(),
  };
}

/** @param decode makes a batch of `size` bytes */
function wholeDecoder(decode: (stored: Uint8Array, size: number) => Uint8Array): StreamDecoder {
  let bytes: Uint8Array = new Uint8Array();
  let at = 0;
  return {
    open(compressed, size) {
      at = 0;
      bytes = size === 0 ? new Uint8Array() : decode(compressed, size);
    },
    take(size) {
      at += size;
      return Uint8Array.from(bytes.subarray(at - size, at));
    },
    close: () => free(bytes),
  };
}

function decompressed(compressed: Uint8Array, size: number): Uint8Array {
  try {
    const bytes = zstdDecompressSync(compressed, { maxOutputLength: size });
    if (bytes.length === size) return bytes;
  } catch {
    // said below
  }
  throw new PanamaxError('bad-patch', 'a stream does not decompress', { expected: `${size} bytes` });
}

function asStored(stored: Uint8Array, size: number): Uint8Array {
  if (stored.length === size) return stored;
  throw new PanamaxError('bad-patch', 'a stream of another size', { expected: size, found: stored.length });
}
