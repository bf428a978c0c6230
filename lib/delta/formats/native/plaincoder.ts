import { PanamaxError } from '../../../errors.ts';
import { CLASSES, differencesOf, OTHER_BYTES, placesOf, type StreamParts } from './streams.ts';

/**
 * Where plain bytes differ from their prediction. Of each class of bytes one stream tells places (how many bytes are right,
 * how many after them are listed, in turn), another how much the listed bytes differ.
 */

/** Takes the bytes of one class in their order: how many are right, and how much a wrong one differs. */
export interface Compared {
  right(count: number): void;
  wrong(difference: number): void;
}

/** Bytes up to so many between two that differ are listed with them; not in executables. */
const JOINED = 2;
/** Bytes that are compared at once. */
const BLOCK = 4096;
const SHORT = 48;

/** Bytes that grow. */
class ByteList {
  #bytes = new Uint8Array(256);
  #size = 0;

  push(byte: number): void {
    if (this.#size === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#size);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#size++] = byte;
  }

  /** Seven bits in a byte, the lowest first; the highest bit says that more follow. */
  number(value: number): void {
    let left = value;
    for (; left >= 128; left >>>= 7) this.push((left & 127) | 128);
    this.push(left);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }
}

/** Of one class. */
class ClassEncoder implements Compared {
  readonly places = new ByteList();
  readonly differences = new ByteList();
  readonly #joined: number;
  #gap = 0;
  /** Differences that are not listed yet, and how many of the last are 0. */
  #run: number[] = [];
  #equal = 0;

  constructor(joined: number) {
    this.#joined = joined;
  }

  right(count: number): void {
    if (this.#run.length === 0) this.#gap += count;
    else if (this.#equal + count <= this.#joined) {
      for (let i = 0; i < count; i++) this.#run.push(0);
      this.#equal += count;
    } else {
      this.close();
      this.#gap += count;
    }
  }

  wrong(difference: number): void {
    this.#run.push(difference);
    this.#equal = 0;
  }

  close(): void {
    const count = this.#run.length - this.#equal;
    if (count === 0) return;
    this.places.number(this.#gap);
    this.places.number(count);
    for (let i = 0; i < count; i++) this.differences.push(this.#run[i]!);
    this.#gap = this.#equal;
    this.#equal = 0;
    this.#run = [];
  }
}

export class PlainEncoder {
  readonly #classes = Array.from(
    { length: CLASSES },
    (_, byteClass) => new ClassEncoder(byteClass === OTHER_BYTES ? JOINED : 0),
  );

  /** Compares bytes of the target with those predicted. */
  code(
    byteClass: number,
    predicted: Uint8Array,
    from: number,
    target: Uint8Array,
    at: number,
    length: number,
  ): void {
    comparePlain(this.#classes[byteClass]!, predicted, from, target, at, length);
  }

  /** @returns by the numbers of streams; the first is empty */
  finish(): Uint8Array[] {
    const parts: Uint8Array[] = [new Uint8Array()];
    for (const [byteClass, encoder] of this.#classes.entries()) {
      encoder.close();
      parts[placesOf(byteClass)] = encoder.places.finish();
      parts[differencesOf(byteClass)] = encoder.differences.finish();
    }
    return parts;
  }
}

/** Compares bytes of the target with those predicted. */
export function comparePlain(
  compared: Compared,
  predicted: Uint8Array,
  from: number,
  target: Uint8Array,
  at: number,
  length: number,
): void {
  for (let done = 0; done < length; done += BLOCK) {
    const size = Math.min(BLOCK, length - done);
    if (size > SHORT && isEqual(predicted, from + done, target, at + done, size)) compared.right(size);
    else compare(compared, predicted, from + done, target, at + done, size);
  }
}

function isEqual(one: Uint8Array, from: number, other: Uint8Array, at: number, size: number): boolean {
  return Buffer.compare(one.subarray(from, from + size), other.subarray(at, at + size)) === 0;
}

function compare(
  compared: Compared,
  predicted: Uint8Array,
  from: number,
  target: Uint8Array,
  at: number,
  length: number,
): void {
  let done = 0;
  for (let i = 0; i < length; i++) {
    const difference = target[at + i]! - predicted[from + i]!;
    if (difference === 0) continue;
    if (i > done) compared.right(i - done);
    compared.wrong(difference & 255);
    done = i + 1;
  }
  if (length > done) compared.right(length - done);
}

/** Of one class. */
class ClassDecoder {
  readonly #places: Uint8Array;
  readonly #differences: Uint8Array;
  #place = 0;
  #difference = 0;
  /** Bytes that are right from here on, and bytes listed behind them. */
  gap = 0;
  count = 0;

  constructor(places: Uint8Array, differences: Uint8Array) {
    this.#places = places;
    this.#differences = differences;
    this.next();
  }

  /** Reads the next gap; behind the last one all bytes are right. */
  next(): void {
    if (this.#place === this.#places.length) {
      this.gap = Infinity;
      return;
    }
    this.gap = this.#number();
    this.count = this.#number();
    if (this.count === 0) throw damaged('places');
  }

  #number(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#places[this.#place++];
      if (byte === undefined) throw damaged('places');
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw damaged('places');
  }

  difference(): number {
    const difference = this.#differences[this.#difference++];
    if (difference === undefined) throw damaged('differences');
    if (--this.count === 0) this.next();
    return difference;
  }

  get isDone(): boolean {
    return this.gap === Infinity && this.#difference === this.#differences.length;
  }
}

export class PlainDecoder {
  readonly #classes: readonly ClassDecoder[];

  /** @throws PanamaxError `bad-patch` */
  constructor(parts: StreamParts) {
    this.#classes = Array.from(
      { length: CLASSES },
      (_, byteClass) => new ClassDecoder(parts[placesOf(byteClass)]!, parts[differencesOf(byteClass)]!),
    );
  }

  /** Writes bytes of the target. @throws PanamaxError `bad-patch` */
  code(
    byteClass: number,
    predicted: Uint8Array,
    from: number,
    target: Uint8Array,
    at: number,
    length: number,
  ): void {
    const decoder = this.#classes[byteClass]!;
    for (let done = 0; done < length;) {
      if (decoder.gap === 0) {
        target[at + done] = predicted[from + done]! + decoder.difference();
        done++;
        continue;
      }
      const size = Math.min(length - done, decoder.gap);
      if (size > SHORT) target.set(predicted.subarray(from + done, from + done + size), at + done);
      else for (let i = 0; i < size; i++) target[at + done + i] = predicted[from + done + i]!;
      decoder.gap -= size;
      done += size;
    }
  }

  /** @throws PanamaxError `bad-patch` unless all was used */
  finish(): void {
    if (!this.#classes.every(({ isDone }) => isDone)) throw damaged('what is left of the differences');
  }
}

function damaged(what: string): PanamaxError {
  return new PanamaxError('bad-patch', `damaged patch: ${what}`);
}
