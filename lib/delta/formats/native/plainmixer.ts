import type { BitCoder } from './bitcoder.ts';
import { createModels } from './bitcoder.ts';
import { BitMixer, hash2, hash3 } from './bitmixer.ts';
import { NumberModels } from './numbers.ts';
import { CLASSES } from './streams.ts';
import { MAX_REPEATED, WrongBytes } from './wrongbytes.ts';

/**
 * Codes plain bytes by their prediction, one after the other: whether each is as predicted, and the byte where it is not. Both are
 * predicted from the source's bytes around it, the target's bytes before it, and earlier wrong bytes. Long runs of right bytes
 * are coded as numbers. Models last over all groups of a patch.
 */

/** Right bytes after which the number of those behind them is coded. */
const RUN = 24;
/** Wrong bytes as expected after which the next one is asked for as a whole. */
const SURE = 5;
/** Number of histories of the last four expectations: whether each failed. */
const SURPRISES = 16;
const FLAG_INPUTS = 8;
const BYTE_INPUTS = 9;
/** Models of each input, as a power of 2: of flags, and of bytes, where the bits of half a byte have theirs side by side. */
const FLAG_TABLE_BITS = 16;
const BYTE_TABLE_BITS = 18;
const NIBBLE_BITS = 4;
const POSITIONS = 8;
const NOTHING = -1;
/** Bytes that are copied one by one. */
const SHORT = 48;

/** The wrong bytes of one class in a group, for an encoder. */
export interface WrongList {
  /** Right bytes before each. */
  readonly gaps: readonly number[];
  readonly differences: readonly number[];
}

/** Of one class of bytes. */
class ClassState {
  readonly wrong = new WrongBytes();
  /** Bytes that are known to be right, and the difference of the one behind them: NOTHING if it is not known. */
  right = 0;
  difference = NOTHING;
  /** Whether the byte behind the right ones is known to be wrong. */
  isEnd = false;
  /** Whether nothing was coded since the last wrong byte. */
  isFresh = false;
  /** Right bytes coded one by one since the last wrong one. */
  flagged = 0;
  lastDifference = 0;
  /** For the last expected bytes whether they did not come. */
  surprises = 0;
  /** For an encoder: the wrong bytes of the group, and how many of them are coded. */
  list: WrongList | undefined;
  coded = 0;

  start(list: WrongList | undefined): void {
    this.list = list;
    this.coded = 0;
    this.wrong.gap = 0;
    this.right = 0;
    this.difference = NOTHING;
    this.isEnd = false;
    this.isFresh = false;
    this.flagged = RUN;
  }
}

export class PlainMixer {
  readonly #flags = new BitMixer({
    inputs: FLAG_INPUTS,
    tableBits: FLAG_TABLE_BITS,
    weightSets: CLASSES * 9 * POSITIONS,
    correctionSets: CLASSES * 1024,
    limit: 255,
  });
  readonly #bits = new BitMixer({
    inputs: BYTE_INPUTS,
    tableBits: BYTE_TABLE_BITS,
    weightSets: CLASSES * 8 * 64,
    correctionSets: 1,
    limit: 127,
  });
  readonly #expected = createModels(SURPRISES * CLASSES * (MAX_REPEATED + 1));
  readonly #runs = new NumberModels(2 * CLASSES);
  readonly #classes = Array.from({ length: CLASSES }, () => new ClassState());
  /** Of the contexts of a byte, and where the models of half of it begin. */
  readonly #hashes = new Int32Array(BYTE_INPUTS);
  readonly #nibbles = new Int32Array(BYTE_INPUTS);
  #coder!: BitCoder;
  /** For the last bytes whether they were wrong, the last one in the lowest bit. */
  #history = 0;
  /** Where the last bytes ended. */
  #end = 0;

  /** @param lists by class, for an encoder */
  start(coder: BitCoder, lists?: readonly WrongList[]): void {
    this.#coder = coder;
    this.#history = 0;
    this.#end = 0;
    for (const [i, state] of this.#classes.entries()) state.start(lists?.[i]);
  }

  /**
   * Codes bytes of the target. An encoder gives them; a decoder writes them.
   *
   * @param predicted has some bytes before those that are used, and behind them
   * @param target bytes of the group
   */
  code(
    byteClass: number,
    predicted: Uint8Array,
    from: number,
    target: Uint8Array,
    at: number,
    length: number,
  ): void {
    // a word that is an operand was left out, or much more
    if (at !== this.#end) this.#history = at === this.#end + 4 ? this.#history << 4 : 0;
    this.#end = at + length;
    const state = this.#classes[byteClass]!;
    for (let done = 0; done < length;) {
      if (state.right > 0) {
        const size = Math.min(length - done, state.right);
        if (size > SHORT) target.set(predicted.subarray(from + done, from + done + size), at + done);
        else for (let i = 0; i < size; i++) target[at + done + i] = predicted[from + done + i]!;
        state.right -= size;
        state.wrong.gap += size;
        this.#history = size < 32 ? this.#history << size : 0;
        done += size;
      } else if (state.difference !== NOTHING) {
        this.#found(state, state.difference, predicted[from + done]!, target, at + done);
        done++;
      } else if (state.isEnd) {
        this.#byte(byteClass, state, predicted, from + done, target, at + done);
        done++;
      } else if (state.isFresh && this.#expects(byteClass, state)) {
        continue;
      } else if (state.flagged >= RUN) this.#run(byteClass, state);
      else {
        if (this.#flag(byteClass, state, predicted, from + done, target, at + done) === 1) state.isEnd = true;
        else {
          target[at + done] = predicted[from + done]!;
          done++;
        }
      }
    }
  }

  /** Whether the next wrong byte is exactly the expected one. */
  #expects(byteClass: number, state: ClassState): boolean {
    state.isFresh = false;
    const { wrong, list, coded } = state;
    const order = wrong.repeated(0) >= wrong.repeated(1) ? 0 : 1;
    const repeated = wrong.repeated(order);
    if (repeated < SURE) return false;
    const gap = wrong.distance(order);
    const difference = wrong.difference(order);
    const given = list && list.gaps[coded] === gap && list.differences[coded] === difference ? 1 : 0;
    const model = (state.surprises * CLASSES + byteClass) * (MAX_REPEATED + 1) + repeated;
    const isExpected = this.#coder.bit(this.#expected, model, given);
    state.surprises = ((state.surprises << 1) | (isExpected ^ 1)) & (SURPRISES - 1);
    if (isExpected === 0) return false;
    state.right = gap;
    state.difference = difference;
    return true;
  }

  /** The number of right bytes; 0 stands for all the rest of the group. */
  #run(byteClass: number, state: ClassState): void {
    const { wrong, list, coded } = state;
    const gap = list?.gaps[coded];
    const context = 2 * byteClass + (wrong.repeated(0) + wrong.repeated(1) > 0 ? 1 : 0);
    const found = this.#runs.code(this.#coder, context, gap === undefined ? 0 : gap - wrong.gap + 1);
    state.right = found === 0 ? Infinity : found - 1;
    state.isEnd = true;
  }

  /** Whether a byte is wrong. */
  #flag(
    byteClass: number,
    state: ClassState,
    predicted: Uint8Array,
    from: number,
    target: Uint8Array,
    at: number,
  ): number {
    const history = this.#history;
    const { wrong } = state;
    const here = predicted[from]!;
    const next = here | (predicted[from + 1]! << 8);
    const before = predicted[from - 1]!;
    const twoBefore = before | (predicted[from - 2]! << 8);
    const ahead = next | (predicted[from + 2]! << 16) | (predicted[from + 3]! << 24);
    const last = at > 0 ? target[at - 1]! : 0;
    const lastTwo = at > 1 ? last | (target[at - 2]! << 8) : last;
    const position = at & (POSITIONS - 1);
    const columns =
      ((history >> 3) & 1) |
      ((history >> 6) & 2) |
      ((history >> 9) & 4) |
      ((history >> 12) & 8) |
      ((history >> 19) & 16) |
      ((history >> 26) & 32);
    const flagged = Math.min(15, state.flagged);
    const first = expectation(wrong, 0);
    const second = expectation(wrong, 1);
    const expected = (first & 7) | ((second & 7) << 3);
    const { slots } = this.#flags;
    slots[0] = slotOf(0, hash3(here, history & 0xff, byteClass));
    slots[1] = slotOf(1, hash3(next | (before << 16), history & 3, byteClass));
    slots[2] = slotOf(2, hash3(twoBefore | (predicted[from - 3]! << 16) | (here << 24), history & 15, 1));
    slots[3] = slotOf(3, hash3(lastTwo | (here << 16), history & 1, byteClass));
    slots[4] = slotOf(4, hash3(columns, position | (flagged << 3), byteClass));
    slots[5] = slotOf(5, hash3(ahead, history & 3, 2));
    slots[6] = slotOf(6, hash3(twoBefore, history & 0x3f, byteClass));
    slots[7] = slotOf(7, hash3(expected, here | ((history & 7) << 8), byteClass));
    const weights = ((byteClass * 3 + kindOf(first)) * 3 + kindOf(second)) * POSITIONS + position;
    const correction = byteClass * 1024 + (((history & 15) << 6) | (here >> 2));
    const given = here === target[at] ? 0 : 1;
    const isWrong = this.#flags.code(this.#coder, weights, correction, given);
    if (isWrong === 0) {
      this.#history = history << 1;
      state.flagged++;
      wrong.gap++;
    }
    return isWrong;
  }

  /** A byte that is wrong. */
  #byte(
    byteClass: number,
    state: ClassState,
    predicted: Uint8Array,
    from: number,
    target: Uint8Array,
    at: number,
  ): void {
    const { wrong, lastDifference } = state;
    const here = predicted[from]!;
    const next = here | (predicted[from + 1]! << 8);
    const before = predicted[from - 1]!;
    const last = at > 0 ? target[at - 1]! : 0;
    const lastTwo = at > 1 ? last | (target[at - 2]! << 8) : last;
    const position = at & (POSITIONS - 1);
    const difference1 = (last - before) & 255;
    const difference4 = at >= 4 ? (target[at - 4]! - predicted[from - 4]!) & 255 : 0;
    const difference8 = at >= 8 ? (target[at - 8]! - predicted[from - 8]!) & 255 : 0;
    const difference16 = at >= 16 ? (target[at - 16]! - predicted[from - 16]!) & 255 : 0;
    const like8 = (here + difference8) & 255;
    const like = (here + lastDifference) & 255;
    const first = expectedByte(wrong, 0, here);
    const second = expectedByte(wrong, 1, here);
    const hashes = this.#hashes;
    hashes[0] = hash2(here, byteClass);
    hashes[1] = hash3(here, difference1, byteClass + 4);
    hashes[2] = hash3(like8, (here + difference4) & 255, 5);
    hashes[3] = hash3((here + difference16) & 255, like8, 6);
    hashes[4] = hash3(lastTwo, here, 7);
    hashes[5] = hash3(last | (before << 8), next, 8);
    hashes[6] = hash3(like, byteClass, 10);
    hashes[7] = hash3(position, last, byteClass * 16 + 12);
    hashes[8] = second === NOTHING ? 0 : hash3(second, 81, Math.min(15, wrong.repeated(1)));
    const { slots } = this.#bits;
    const nibbles = this.#nibbles;
    const moved = (difference1 === 0 ? 0 : 2) | (difference4 === 0 ? 0 : 1);
    const sure = 1 + Math.min(2, wrong.repeated(0) >> 2);
    const given = target[at]!;
    let node = 1;
    for (let k = 7; k >= 0; k--) {
      if (k === 7 || k === 3) this.#seekNibble(node);
      const inNibble = k > 3 ? node : (node & (15 >> (k + 1))) | (16 >> (k + 1));
      for (let i = 0; i < BYTE_INPUTS; i++) slots[i] = nibbles[i]! + inNibble;
      const isFirst = first >= 0 && (first | 256) >> (k + 1) === node ? sure : 0;
      const isSecond = second >= 0 && (second | 256) >> (k + 1) === node ? 1 : 0;
      const isLike = (like | 256) >> (k + 1) === node ? 4 : 0;
      const weights = ((byteClass * 8 + k) * 8 + isFirst * 2 + isSecond) * 8 + isLike + moved;
      node = node * 2 + this.#bits.code(this.#coder, weights, 0, (given >> k) & 1);
    }
    this.#found(state, (node - here) & 255, here, target, at);
  }

  /** @param node the bits of the byte before, behind a 1 */
  #seekNibble(node: number): void {
    const add = Math.imul(node, 0x9e3779b1);
    for (let i = 0; i < BYTE_INPUTS; i++) {
      const hash = (this.#hashes[i]! + add) | 0;
      const place = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> (32 - BYTE_TABLE_BITS + NIBBLE_BITS);
      this.#nibbles[i] = (place << NIBBLE_BITS) + (i << BYTE_TABLE_BITS);
    }
  }

  #found(state: ClassState, difference: number, predicted: number, target: Uint8Array, at: number): void {
    target[at] = predicted + difference;
    state.wrong.push(difference);
    state.lastDifference = difference;
    state.difference = NOTHING;
    state.isEnd = false;
    state.isFresh = true;
    state.flagged = 0;
    state.coded++;
    this.#history = (this.#history << 1) | 1;
  }
}

/** The place of the model of a flag. */
function slotOf(input: number, hash: number): number {
  return (hash >>> (32 - FLAG_TABLE_BITS)) + (input << FLAG_TABLE_BITS);
}

/** The byte that the wrong bytes before lead to, if one is expected here. */
function expectedByte(wrong: WrongBytes, order: number, here: number): number {
  if (wrong.repeated(order) === 0 || wrong.distance(order) !== 0) return NOTHING;
  return (here + wrong.difference(order)) & 255;
}

/** What the wrong bytes before say of the next byte: 0 for nothing. */
function expectation(wrong: WrongBytes, order: number): number {
  const repeated = wrong.repeated(order);
  if (repeated === 0) return 0;
  const distance = wrong.distance(order);
  const near =
    distance < 0 ? 1 : distance === 0 ? 2 : distance === 1 ? 3 : distance < 4 ? 4 : distance < 8 ? 5 : 6;
  return repeated * 8 + near;
}

function kindOf(expected: number): number {
  return expected === 0 ? 0 : (expected & 7) === 2 ? 2 : 1;
}
