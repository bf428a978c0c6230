import type { AlignedSink } from './mappedfile.ts';
import { numberIn, wordOf, type Field } from './field.ts';
import { BitDecoder, BitEncoder } from './bitcoder.ts';
import { OperandModels } from './operands.ts';
import { PlainDecoder, PlainEncoder } from './plaincoder.ts';
import type { StreamParts } from './streams.ts';

/** The two directions of coding the differences from the prediction in one group. */

export class GroupEncoder implements AlignedSink {
  readonly #target: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #plain = new PlainEncoder();
  readonly #coder = new BitEncoder();
  readonly #models = new OperandModels();
  #isRight = true;

  /** @param target bytes of the target from `start` on */
  constructor(target: Uint8Array, start: number) {
    this.#target = target;
    this.#view = new DataView(target.buffer, target.byteOffset, target.length);
    this.#start = start;
  }

  plain(byteClass: number, source: Uint8Array, from: number, target: number, length: number): void {
    this.#plain.code(byteClass, source, from, this.#target, target - this.#start, length);
  }

  operand(at: number, kind: number, quality: number, predicted: number, word: number): number {
    const actual = this.#view.getInt32(at - this.#start, true);
    if (actual !== predicted) this.#isRight = false;
    return this.#models.code(this.#coder, kind, quality, predicted, word, actual);
  }

  field(at: number, kind: number, quality: number, predicted: number, word: number, field: Field): number {
    const actual = numberIn(field, this.#view.getInt32(at - this.#start, true), word);
    if (actual !== predicted) this.#isRight = false;
    return this.#models.code(this.#coder, kind, quality, predicted, numberIn(field, word, word), actual);
  }

  /** Empty where all operands are as predicted. */
  operands(): Uint8Array {
    return this.#isRight ? new Uint8Array() : this.#coder.finish();
  }

  /** By the numbers of streams. */
  parts(): Uint8Array[] {
    return this.#plain.finish();
  }
}

export class GroupDecoder implements AlignedSink {
  readonly #target: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #plain: PlainDecoder;
  readonly #coder: BitDecoder | undefined;
  readonly #models = new OperandModels();

  /**
   * @param target bytes to fill in, from `start` on
   * @throws PanamaxError `bad-patch`
   */
  constructor(parts: StreamParts, operands: Uint8Array, target: Uint8Array, start: number) {
    this.#plain = new PlainDecoder(parts);
    if (operands.length > 0) this.#coder = new BitDecoder(operands);
    this.#target = target;
    this.#view = new DataView(target.buffer, target.byteOffset, target.length);
    this.#start = start;
  }

  plain(byteClass: number, source: Uint8Array, from: number, target: number, length: number): void {
    this.#plain.code(byteClass, source, from, this.#target, target - this.#start, length);
  }

  operand(at: number, kind: number, quality: number, predicted: number, word: number): number {
    const found = this.#coder ? this.#models.code(this.#coder, kind, quality, predicted, word, 0) : predicted;
    this.#view.setInt32(at - this.#start, found, true);
    return found;
  }

  field(at: number, kind: number, quality: number, predicted: number, word: number, field: Field): number {
    const number = numberIn(field, word, word);
    const found = this.#coder
      ? this.#models.code(this.#coder, kind, quality, predicted, number, 0)
      : predicted;
    this.#view.setInt32(at - this.#start, wordOf(field, found, word), true);
    return found;
  }

  /** @throws PanamaxError `bad-patch` */
  finish(): void {
    this.#coder?.checkEnd();
    this.#plain.finish();
  }
}
