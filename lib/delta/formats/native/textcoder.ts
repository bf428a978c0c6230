import { createModels, adapt, probabilityOf, type BitCoder } from './bitcoder.ts';
import { MAX_STRETCHED, Mixer, stretch } from './logistic.ts';
import { PRIMER } from './primer.ts';

/** Codes short texts: bytes are predicted from those before them and from typical text. */

/** Bytes before that predict: so many in each context. */
const ORDERS = [1, 2, 3, 4, 6];
const CONTEXTS = ORDERS.length + 2;
const TABLE_BITS = 16;
const MULTIPLIER = 0x9e3779b1 | 0;
/** Bits after which a model adapts no slower. */
const LIMIT = 127;
/** Bytes that have to be equal before a repeat is predicted. */
const MIN_REPEAT = 5;
const MAX_REPEAT = 31;
const PLACE_BITS = 16;
const RATE = 14;

export class TextCoder {
  readonly #models = Array.from({ length: CONTEXTS }, () => createModels(1 << TABLE_BITS));
  readonly #repeat = createModels(2 * (MAX_REPEAT + 1));
  readonly #mixer = new Mixer(CONTEXTS + 2, 3 * 256, RATE);
  readonly #hashes = new Int32Array(CONTEXTS);
  readonly #places = new Int32Array(1 << PLACE_BITS);
  #history: Uint8Array;
  #size = 0;
  /** Where a repeat goes on, and how many bytes it has had. */
  #from = 0;
  #repeated = 0;

  private constructor(size: number) {
    this.#history = new Uint8Array(size);
  }

  /** @param room bytes that are coded at most */
  static create(room: number): TextCoder {
    trained ??= TextCoder.#train(Buffer.from(PRIMER));
    return trained.#copy(room);
  }

  static #train(text: Uint8Array): TextCoder {
    const coder = new TextCoder(text.length);
    for (const byte of text) coder.#byte(TRAINER, byte);
    return coder;
  }

  #copy(room: number): TextCoder {
    const copy = new TextCoder(this.#history.length + room);
    for (const [k, models] of this.#models.entries()) copy.#models[k]!.set(models);
    copy.#repeat.set(this.#repeat);
    copy.#mixer.copyFrom(this.#mixer);
    copy.#places.set(this.#places);
    copy.#history.set(this.#history);
    copy.#size = this.#size;
    copy.#from = this.#from;
    copy.#repeated = this.#repeated;
    return copy;
  }

  /** Codes so many bytes in either direction. */
  code(coder: BitCoder, given: Uint8Array | undefined, size: number): Uint8Array {
    const start = this.#size;
    for (let i = 0; i < size; i++) this.#byte(coder, given?.[i] ?? 0);
    return this.#history.slice(start, start + size);
  }

  #byte(coder: BitCoder, given: number): void {
    this.#hashContexts();
    const expected = this.#repeated > 0 ? this.#history[this.#from]! : 0;
    const length = Math.min(MAX_REPEAT, this.#repeated);
    const set = length === 0 ? 0 : length < 16 ? 256 : 512;
    let node = 1;
    for (let i = 7; i >= 0; i--) {
      const bit = (given >>> i) & 1;
      const isRepeat = length > 0 && (expected | 256) >>> (i + 1) === node;
      const expectedBit = (expected >>> i) & 1;
      node = node * 2 + this.#bit(coder, bit, node, isRepeat ? 2 * length + expectedBit : -1, set + node);
    }
    this.#append(node & 255);
  }

  #bit(coder: BitCoder, given: number, node: number, repeat: number, set: number): number {
    const slots = this.#slots;
    for (let k = 0; k < CONTEXTS; k++) {
      const slot =
        (Math.imul(this.#hashes[k]! + Math.imul(node, 0x2f0b4c47), MULTIPLIER) >>> (32 - TABLE_BITS)) | 0;
      slots[k] = slot;
      this.#mixer.input(k, stretch(probabilityOf(this.#models[k]![slot]!)));
    }
    this.#mixer.input(CONTEXTS, repeat < 0 ? 0 : stretch(probabilityOf(this.#repeat[repeat]!)));
    this.#mixer.input(CONTEXTS + 1, MAX_STRETCHED >> 4);
    const bit = coder.fixed(this.#mixer.mix(set), given);
    this.#mixer.update(bit);
    for (let k = 0; k < CONTEXTS; k++) adapt(this.#models[k]!, slots[k]!, bit, LIMIT);
    if (repeat >= 0) adapt(this.#repeat, repeat, bit);
    return bit;
  }

  readonly #slots = new Int32Array(CONTEXTS);

  #hashContexts(): void {
    const history = this.#history;
    const size = this.#size;
    let hash = 0;
    for (let k = 0, back = 1; k < ORDERS.length; k++) {
      for (; back <= ORDERS[k]!; back++) hash = Math.imul(hash + 1 + (history[size - back] ?? 0), MULTIPLIER);
      this.#hashes[k] = hash ^ (hash >>> 15);
    }
    // the letters of the word so far, and no context at all
    hash = 0;
    for (let at = size - 1; at >= 0 && at > size - 24 && isLetter(history[at]!); at--) {
      hash = Math.imul(hash + 1 + history[at]!, MULTIPLIER);
    }
    this.#hashes[CONTEXTS - 2] = hash ^ (hash >>> 15);
    this.#hashes[CONTEXTS - 1] = 0;
  }

  #append(byte: number): void {
    if (this.#repeated > 0 && this.#history[this.#from] === byte) {
      this.#from++;
      this.#repeated++;
    } else this.#repeated = 0;
    this.#history[this.#size++] = byte;
    if (this.#size < MIN_REPEAT) return;
    let hash = 0;
    for (let back = 1; back <= MIN_REPEAT; back++)
      hash = Math.imul(hash + this.#history[this.#size - back]! + 1, MULTIPLIER);
    const slot = hash >>> (32 - PLACE_BITS);
    if (this.#repeated === 0 && this.#places[slot]! > 0) {
      this.#from = this.#places[slot]!;
      while (
        this.#repeated < MAX_REPEAT &&
        this.#repeated < this.#from &&
        this.#history[this.#from - 1 - this.#repeated] === this.#history[this.#size - 1 - this.#repeated]
      ) {
        this.#repeated++;
      }
      if (this.#repeated < MIN_REPEAT) this.#repeated = 0;
    }
    this.#places[slot] = this.#size;
  }
}

function isLetter(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a);
}

/** Trains models on known bits, without output. */
const TRAINER: BitCoder = { bit: (_models, _index, bit) => bit, fixed: (_probability, bit) => bit };

/** The coder that has read the primer, kept for all recipes of a thread: reading it takes 50 ms. */
let trained: TextCoder | undefined;
