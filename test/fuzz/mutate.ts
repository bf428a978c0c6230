/** Damage to inputs: of bytes, of numbers, of pieces, and of values in JSON documents. */
import type { Random } from '../support/random.ts';
import { placesOf, WRONG, type Json } from '../support/mutation.ts';

const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];
const MAX_PIECE = 300;
/** An input does not grow beyond this. */
export const MAX_INPUT = 256 * 1024;

/** An input with one to four changes. Others lend pieces. */
export function mutate(
  input: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly string[],
  random: Random,
): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let left = 1 + random.below(4); left > 0; left--) {
    const document = random.below(2) === 0 ? parse(bytes) : undefined;
    bytes =
      document === undefined ? changeBytes(bytes, others, words, random) : changeValue(document, random);
  }
  return bytes.subarray(0, MAX_INPUT);
}

function parse(bytes: Buffer): Json | undefined {
  if (bytes[0] !== 0x7b && bytes[0] !== 0x5b) return undefined;
  try {
    return JSON.parse(bytes.toString()) as Json;
  } catch {
    return undefined;
  }
}

function changeValue(document: Json, random: Random): Buffer {
  const places = placesOf(document);
  const place = places[random.below(places.length + 1)];
  const other = places[random.below(places.length + 1)];
  const fresh =
    random.below(3) === 0 && other
      ? structuredClone((other.parent as Record<string, Json>)[other.key]!)
      : WRONG[random.below(WRONG.length)]!;
  if (place) {
    if (random.below(4) === 0) Reflect.deleteProperty(place.parent, place.key);
    else Object.assign(place.parent, { [place.key]: fresh });
  }
  return Buffer.from(JSON.stringify(place ? document : fresh));
}

type Change = (
  bytes: Buffer,
  at: number,
  random: Random,
  others: readonly Uint8Array[],
  words: readonly string[],
) => Buffer;

const CHANGES: readonly Change[] = [
  function flipBit(bytes, at, random) {
    bytes[at]! ^= 1 << random.below(8);
    return bytes;
  },
  function setByte(bytes, at, random) {
    bytes[at] = random.below(256);
    return bytes;
  },
  function addSmall(bytes, at, random) {
    bytes[at]! += random.below(33) - 16;
    return bytes;
  },
  function setNumber(bytes, at, random) {
    const number = NUMBERS[random.below(NUMBERS.length)]!;
    const size = Math.min([1, 2, 4][random.below(3)]!, bytes.length - at);
    const value = number % 2 ** (8 * size);
    if (random.below(2) === 0) bytes.writeUIntBE(value, at, size);
    else bytes.writeUIntLE(value, at, size);
    return bytes;
  },
  function cut(bytes, at) {
    return bytes.subarray(0, at);
  },
  function remove(bytes, at, random) {
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(MAX_PIECE))]);
  },
  function repeat(bytes, at, random) {
    const end = at + 1 + random.below(MAX_PIECE);
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
  },
  function insert(bytes, at, random) {
    return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(8)), bytes.subarray(at)]);
  },
  function copyOther(bytes, at, random, others) {
    const other = others[random.below(others.length)]!;
    const from = random.below(other.length + 1);
    const piece = other.subarray(from, from + 1 + random.below(MAX_PIECE));
    const isInserted = random.below(2) === 0;
    return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(isInserted ? at : at + piece.length)]);
  },
  function splice(bytes, at, random, others) {
    const other = others[random.below(others.length)]!;
    return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))]);
  },
  function insertWord(bytes, at, random, _, words) {
    if (words.length === 0) return bytes;
    const word = Buffer.from(words[random.below(words.length)]!, 'latin1');
    const isInserted = random.below(2) === 0;
    return Buffer.concat([bytes.subarray(0, at), word, bytes.subarray(isInserted ? at : at + word.length)]);
  },
];

function changeBytes(
  bytes: Buffer,
  others: readonly Uint8Array[],
  words: readonly string[],
  random: Random,
): Buffer {
  if (bytes.length === 0) return random.bytes(1 + random.below(8));
  // most headers are at the start
  const at = random.below(random.below(3) === 0 ? Math.min(bytes.length, 64) : bytes.length);
  return CHANGES[random.below(CHANGES.length)]!(bytes, at, random, others, words);
}
