import { matchToken, MATCH, OFFSET_MASK, tokenLength } from '../symbols.ts';
import type { Choices } from './choices.ts';
import type { Predictor } from './predictor.ts';

/**
 * Creates a model that codes the tokens of DEFLATE as choices. It learns from earlier tokens whether the encoder
 * takes a match or waits for a better one. For a match that was not predicted, its length nearly always identifies
 * it.
 *
 * @returns a function that encodes or decodes the next token and passes it; undefined if there is no such match or no
 *   text
 */
export function createTokenModel(
  choices: Choices,
  predictor: Predictor,
): (actual: number) => number | undefined {
  /** One bit for each of the last matches: whether it was mispredicted. */
  let missed = 0;
  let wasPutOff = 0;

  function contextOfKind(length: number, distance: number): number {
    if (length === 0) return IS_MATCH;
    const later = predictor.laterLength();
    const far = 31 - Math.clz32(distance);
    const farther = later === 0 ? 0 : 31 - Math.clz32(predictor.laterDistance()) - far;
    const gain = clamp(later - length, -2, 4) + 3;
    // without an alternative, the distance of the match counts
    const quality = later === 0 ? far >> 1 : 8 + gain;
    return IS_MATCH + 1 + ((bucketOf(length) * 16 + quality) * 8 + clamp(farther, -4, 3) + 4) * 2 + wasPutOff;
  }

  function unexpectedMatch(expected: number, actual: number): number | undefined {
    const kind = expected === 0 ? 0 : 1;
    const length = choices.tree(LENGTH + 256 * kind, 8, tokenLength(actual)) + 3;
    const nearest = predictor.nearest(length);
    const offset = actual & OFFSET_MASK;
    if (nearest > 0 && choices.bit(IS_NEAREST + kind, offset === nearest - 1 ? 1 : 0)) {
      return matchToken(length, nearest);
    }
    const distance = choices.direct(15, offset) + 1;
    return predictor.isMatch(length, distance) ? matchToken(length, distance) : undefined;
  }

  return (actual) => {
    if (predictor.ahead() === 0) return undefined;
    predictor.look();
    const length = predictor.length();
    const distance = predictor.distance();
    if (!choices.bit(contextOfKind(length, distance), actual >= MATCH ? 1 : 0)) {
      wasPutOff = length > 0 ? 1 : 0;
      const literal = predictor.literal();
      predictor.pass(1);
      return literal;
    }
    wasPutOff = 0;
    const expected = length > 0 ? matchToken(length, distance) : 0;
    let token: number | undefined = expected;
    const context = IS_EXPECTED + bucketOf(length) * 4 + (missed & 3);
    if (length > 0 && choices.bit(context, actual === expected ? 1 : 0)) {
      missed <<= 1;
    } else {
      missed = (missed << 1) | 1;
      token = unexpectedMatch(expected, actual);
    }
    if (token !== undefined) predictor.pass(tokenLength(token) + 3);
    return token;
  };
}

const LENGTH_BUCKETS = Uint8Array.from({ length: 259 }, (_, length) => {
  if (length < 9) return Math.max(length - 3, 0);
  return [12, 16, 24, 32, 64, 128, 258, 259].findIndex((limit) => length < limit) + 6;
});

function bucketOf(length: number): number {
  return LENGTH_BUCKETS[length]!;
}

function clamp(value: number, least: number, most: number): number {
  return value < least ? least : value > most ? most : value;
}

/** Contexts, after those of `codes.ts`. */
const IS_NEAREST = 1024;
const IS_EXPECTED = IS_NEAREST + 2;
const LENGTH = IS_EXPECTED + 14 * 4;
const IS_MATCH = LENGTH + 2 * 256;
