import { PanamaxError } from '../../errors.ts';
import { createBitWriter } from '../bits.ts';
import type { Compressor } from '../coder.ts';
import { createChoiceReader, createChoiceWriter } from './choices.ts';
import { createCorrection } from './correction.ts';
import { createBlockReader, NotDeflate } from './inflate.ts';
import { PIECE_SIZE, type Search } from './predictor.ts';

/** A gzip stream that no known encoder makes, as differences from the output of a similar encoder. */
export interface CorrectedRecipe {
  readonly encoder: 'corrected';
  readonly search: Search;
  /** The result of `correct`, in base64. */
  readonly correction: string;
}

/** In bytes. */
export function correctionSize({ correction }: CorrectedRecipe): number {
  return Buffer.byteLength(correction, 'base64');
}

/** Larger corrections, relative to the layer or in bytes, are not worth keeping. */
const MOST_OF_LAYER = 1 / 50;
export const MOST_CORRECTED = 2 * 1024 ** 2;
const ALWAYS_SMALL = 1024;
/** Bytes of text that are processed at once. */
const STEP_SIZE = 16 * 1024;
/** Far more than DEFLATE adds in the worst case. */
const MOST_MADE = 1024 ** 2;

/** Rebuilds the stream from its text. @throws PanamaxError `bad-patch` if the correction is of another text */
export function createCorrected({ search, correction }: CorrectedRecipe): Compressor {
  const choices = createChoiceReader(Buffer.from(correction, 'base64'));
  const out = createBitWriter();
  const { predictor, steps, isOver } = createCorrection(search, choices, { to: out });
  let isDone = false;
  let room = MOST_MADE;

  /** The output for a chunk of the text. */
  function made(piece: Uint8Array): Uint8Array {
    if (isDone) throw refused('text behind its end');
    predictor.add(piece);
    try {
      isDone = steps.next().done === true;
    } catch (error) {
      if (!(error instanceof NotDeflate)) throw error;
      throw refused(error.message);
    }
    const bytes = out.take();
    room += 2 * piece.length - bytes.length;
    if (room < 0) throw refused('it makes more than any encoder');
    return bytes;
  }

  return {
    next(piece) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < piece.length; at += STEP_SIZE) {
        pieces.push(made(piece.subarray(at, at + STEP_SIZE)));
      }
      return Buffer.concat(pieces);
    },
    end() {
      isOver.text = true;
      return made(new Uint8Array());
    },
  };
}

function refused(found: string): PanamaxError {
  return new PanamaxError('bad-patch', 'the correction does not make the layer', { found });
}

/**
 * Finds the correction that makes a gzip stream from its text.
 *
 * @param blob the stream
 * @param text its decompressed content
 * @param most limit of the correction in bytes
 * @returns undefined if the correction would be larger, or the stream cannot be corrected
 */
export async function correct(
  { blob, text }: Readonly<Record<'blob' | 'text', () => AsyncIterable<Uint8Array>>>,
  search: Search,
  most: number,
): Promise<Uint8Array | undefined> {
  const reader = createBlockReader();
  const choices = createChoiceWriter();
  const { predictor, steps, isOver } = createCorrection(search, choices, { from: reader });
  const sources = {
    stream: { pieces: pieces(blob), add: (piece: Uint8Array) => reader.add(piece) },
    text: { pieces: pieces(text), add: (piece: Uint8Array) => predictor.add(piece) },
  };
  try {
    for (let step = steps.next(); !step.done; step = steps.next()) {
      if (choices.size > most) return undefined;
      const { pieces, add } = sources[step.value];
      const next = await pieces.next();
      if (next.done) isOver[step.value] = true;
      else add(next.value);
    }
  } catch (error) {
    if (error instanceof NotDeflate) return undefined;
    throw error;
  } finally {
    for (const { pieces } of Object.values(sources)) await pieces.return();
  }
  const correction = choices.end();
  return correction.length > most ? undefined : correction;
}

async function* pieces(open: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of open()) {
    for (let at = 0; at < chunk.length; at += PIECE_SIZE) yield chunk.subarray(at, at + PIECE_SIZE);
  }
}

/** Numbers of match candidates to try, ascending. The search starts in the middle. */
const CHAINS = [2, 8, 32, 128, 512, 4096];
const FIRST_CHAIN = 2;
/** A search is dropped if the correction of the stream's start exceeds the limit by this factor. */
const HOPELESS = 3;

/**
 * Finds the match search that is most similar to that of a stream's encoder.
 *
 * @param head the first bytes of the stream
 * @param sample the first bytes of its text
 * @returns undefined if none is similar enough
 */
export function nearestSearch(head: Uint8Array, sample: Uint8Array): Search | undefined {
  let best: { readonly search: Search; readonly trial: Trial } | undefined;
  const isBetter = (search: Search): boolean => {
    const trial = attempt(search, head, sample);
    if (best && trial.size >= best.trial.size) return false;
    best = { search, trial };
    return true;
  };
  const chain = CHAINS[FIRST_CHAIN]!;
  for (const [key, shorts] of [
    [3, false],
    [4, false],
    [4, true],
  ] as const) {
    for (const inside of [258, 4]) isBetter({ key, shorts, chain, lazyChain: chain, inside });
  }
  const withChain = (found: number, share: number): Search => ({
    ...best!.search,
    chain: found,
    lazyChain: found >> share,
  });
  for (const chains of [CHAINS.slice(FIRST_CHAIN + 1), CHAINS.slice(0, FIRST_CHAIN).toReversed()]) {
    for (const found of chains) if (!isBetter(withChain(found, 0))) break;
  }
  isBetter(withChain(best!.search.chain, 1));
  const { search, trial } = best!;
  return trial.size > HOPELESS * mostFor(trial.read) ? undefined : search;
}

interface Trial {
  /** Size of the correction of the stream's start, in bytes; infinite if it has none. */
  readonly size: number;
  /** Bytes of the stream that it covers. */
  readonly read: number;
}

function attempt(search: Search, head: Uint8Array, sample: Uint8Array): Trial {
  const reader = createBlockReader();
  const choices = createChoiceWriter();
  const { predictor, steps } = createCorrection(search, choices, { from: reader });
  const left = { stream: head, text: sample };
  try {
    for (let step = steps.next(); !step.done; step = steps.next()) {
      const piece = left[step.value].subarray(0, PIECE_SIZE);
      if (piece.length === 0) break;
      left[step.value] = left[step.value].subarray(piece.length);
      if (step.value === 'text') predictor.add(piece);
      else reader.add(piece);
    }
  } catch (error) {
    if (!(error instanceof NotDeflate)) throw error;
    return { size: Infinity, read: 0 };
  }
  return { size: choices.size, read: head.length - left.stream.length };
}

/** Limit of a layer's correction, in bytes. */
export function mostFor(layerSize: number): number {
  return Math.min(MOST_CORRECTED, Math.max(ALWAYS_SMALL, Math.floor(layerSize * MOST_OF_LAYER)));
}
