import type { Effort } from '../../../../align/alignment.ts';
import { Lzma2Encoder, type EncoderSettings } from '../../../../../compression/lzma/lzma2encoder.ts';
import { xzPrologue } from '../../../../../compression/lzma/xz.ts';
import { integerSize, writeInteger } from '../integer.ts';
import type { SectionName } from '../window.ts';

/** Effort of the compressor: with much to compress, a quarter of the time is worth five percent more bytes. */
export interface Thoroughness {
  readonly effort: Effort;
  /** Whether there is much to compress. */
  readonly much: boolean;
  /** Upper bound of the size of all sections in bytes, if there is one: little memory is taken then. */
  readonly streamSize?: number;
}

type Settings = Pick<EncoderSettings, 'rowCountBits' | 'depth' | 'niceLength' | 'optimal'>;

const FAST: Settings = { rowCountBits: 16, depth: 4, niceLength: 32, optimal: false };
const LAZY: Settings = { rowCountBits: 16, depth: 8, niceLength: 128, optimal: false };
const OPTIMAL: Settings = { rowCountBits: 16, depth: 6, niceLength: 32, optimal: true };
const BEST: Settings = { rowCountBits: 20, depth: 16, niceLength: 128, optimal: true };

function settingsFor({ streamSize, ...thoroughness }: Thoroughness) {
  return { ...choose(thoroughness), ...(streamSize !== undefined && { streamSize }) };
}

function choose({ effort, much }: Thoroughness): Settings {
  if (effort === 'fast') return FAST;
  if (effort === 'best') return BEST;
  return much ? LAZY : OPTIMAL;
}

/** In bytes. Data repeat over longer distances than instructions do. */
const SIZES = {
  data: { maxPiece: 2 ** 22, window: 2 ** 22 },
  instructions: { maxPiece: 2 ** 20, window: 2 ** 21 },
  addresses: { maxPiece: 2 ** 20, window: 2 ** 21 },
};

/** Compressor of one kind of section, over all windows. */
export interface SectionStream {
  /** Compresses the sections of the next windows. */
  compress(sections: readonly Uint8Array[]): Uint8Array<ArrayBuffer>[];
  /** Updates the dictionary with sections that another compressor of the same patch compresses. */
  skip(sections: readonly Uint8Array[]): void;
}

export type Compressor = Readonly<Record<SectionName, SectionStream>>;

/**
 * Compresses the sections of windows as xdelta3's LZMA does: one .xz stream for each kind of section, which continues
 * from window to window and is never finished. Sections are gathered to pieces, because each piece starts with fresh
 * probabilities.
 */
export function createCompressor(thoroughness: Thoroughness): Compressor {
  const settings = settingsFor(thoroughness);
  return {
    data: createStream('data', settings),
    instructions: createStream('instructions', settings),
    addresses: createStream('addresses', settings),
  };
}

function createStream(
  name: SectionName,
  { rowCountBits, ...settings }: ReturnType<typeof settingsFor>,
): SectionStream {
  const properties = name === 'data' ? { lc: 3, lp: 0, pb: 0 } : { lc: 0, lp: 0, pb: 0 };
  const { maxPiece, window } = SIZES[name];
  const encoder = new Lzma2Encoder({
    properties,
    maxPiece,
    window,
    rowCountBits: name === 'data' ? rowCountBits : rowCountBits - 2,
    ...settings,
  });
  let prologue = xzPrologue(window);
  return {
    compress(sections) {
      const parts: Uint8Array[][] = sections.map(() => []);
      for (const { bytes, cuts, owners } of piecesOf(sections, maxPiece)) {
        for (const [i, part] of encoder.encode(bytes, cuts).entries())
          parts[owners[i]!]!.push(Buffer.from(part));
      }
      return parts.map((chunks, i) => {
        const { length } = sections[i]!;
        if (length === 0) return new Uint8Array();
        const size = new Uint8Array(integerSize(length));
        writeInteger(size, 0, length);
        const section = Buffer.concat([size, prologue, ...chunks]);
        prologue = new Uint8Array();
        return section;
      });
    },
    skip(sections) {
      for (const { bytes } of piecesOf(sections, maxPiece)) {
        encoder.skip(bytes);
        prologue = new Uint8Array();
      }
    },
  };
}

interface Piece {
  readonly bytes: Uint8Array;
  /** Offsets in the piece at which sections end. */
  readonly cuts: readonly number[];
  /** Index of the section of each part between cuts. */
  readonly owners: readonly number[];
}

/** Concatenates sections and cuts them into pieces for the encoder. */
function* piecesOf(sections: readonly Uint8Array[], maxPiece: number): Generator<Piece, void> {
  let gathered: Uint8Array[] = [];
  let cuts: number[] = [];
  let owners: number[] = [];
  let size = 0;
  for (const [owner, section] of sections.entries()) {
    for (let at = 0; at < section.length;) {
      const part = section.subarray(at, at + maxPiece - size);
      at += part.length;
      size += part.length;
      gathered.push(part);
      cuts.push(size);
      owners.push(owner);
      if (size < maxPiece) continue;
      yield { bytes: Buffer.concat(gathered), cuts, owners };
      [gathered, cuts, owners, size] = [[], [], [], 0];
    }
  }
  if (size > 0) yield { bytes: Buffer.concat(gathered), cuts, owners };
}
