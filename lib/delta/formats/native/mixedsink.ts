import type { BitCoder } from './bitcoder.ts';
import { numberIn, wordOf, type Field } from './field.ts';
import type { AlignedSink } from './mappedfile.ts';
import { OperandModels } from './operands.ts';
import { comparePlain, type Compared } from './plaincoder.ts';
import { PlainMixer, type WrongList } from './plainmixer.ts';
import { CLASSES } from './streams.ts';

/** The coding of the differences from the prediction by a mixer. Its models last from group to group. */

export class MixedModels {
  readonly plain = new PlainMixer();
  readonly operands = new OperandModels();
}

/** Codes one group. An encoder gives the bytes of the target; a decoder writes them. */
export class MixedSink implements AlignedSink {
  readonly #models: MixedModels;
  readonly #coder: BitCoder;
  readonly #target: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;

  /**
   * @param target bytes of the target from `start` on
   * @param lists of wrong bytes by class, for an encoder
   */
  constructor(
    models: MixedModels,
    coder: BitCoder,
    target: Uint8Array,
    start: number,
    lists?: readonly WrongList[],
  ) {
    this.#models = models;
    this.#coder = coder;
    this.#target = target;
    this.#view = new DataView(target.buffer, target.byteOffset, target.length);
    this.#start = start;
    models.plain.start(coder, lists);
  }

  plain(byteClass: number, source: Uint8Array, from: number, target: number, length: number): void {
    this.#models.plain.code(byteClass, source, from, this.#target, target - this.#start, length);
  }

  operand(at: number, kind: number, quality: number, predicted: number, word: number): number {
    const place = at - this.#start;
    const actual = this.#view.getInt32(place, true);
    const found = this.#models.operands.code(this.#coder, kind, quality, predicted, word, actual);
    this.#view.setInt32(place, found, true);
    return found;
  }

  field(at: number, kind: number, quality: number, predicted: number, word: number, field: Field): number {
    const place = at - this.#start;
    const actual = numberIn(field, this.#view.getInt32(place, true), word);
    const number = numberIn(field, word, word);
    const found = this.#models.operands.code(this.#coder, kind, quality, predicted, number, actual);
    this.#view.setInt32(place, wordOf(field, found, word), true);
    return found;
  }
}

/** Lists the wrong bytes of one group, before an encoder codes it. */
export class GroupComparison implements AlignedSink {
  readonly #target: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #classes = Array.from({ length: CLASSES }, () => new ClassList());
  #areOperandsRight = true;

  /** @param target bytes of the target from `start` on */
  constructor(target: Uint8Array, start: number) {
    this.#target = target;
    this.#view = new DataView(target.buffer, target.byteOffset, target.length);
    this.#start = start;
  }

  plain(byteClass: number, source: Uint8Array, from: number, target: number, length: number): void {
    comparePlain(this.#classes[byteClass]!, source, from, this.#target, target - this.#start, length);
  }

  operand(at: number, _kind: number, _quality: number, predicted: number): number {
    return this.#compared(predicted, this.#view.getInt32(at - this.#start, true));
  }

  field(at: number, _kind: number, _quality: number, predicted: number, word: number, field: Field): number {
    return this.#compared(predicted, numberIn(field, this.#view.getInt32(at - this.#start, true), word));
  }

  #compared(predicted: number, actual: number): number {
    if (actual !== predicted) this.#areOperandsRight = false;
    return actual;
  }

  get isRight(): boolean {
    return this.#areOperandsRight && this.#classes.every(({ gaps }) => gaps.length === 0);
  }

  /** By class. */
  lists(): readonly WrongList[] {
    return this.#classes;
  }
}

/** The wrong bytes of one class. */
export class ClassList implements Compared, WrongList {
  readonly gaps: number[] = [];
  readonly differences: number[] = [];
  #gap = 0;

  right(count: number): void {
    this.#gap += count;
  }

  wrong(difference: number): void {
    this.gaps.push(this.#gap);
    this.differences.push(difference);
    this.#gap = 0;
  }
}
