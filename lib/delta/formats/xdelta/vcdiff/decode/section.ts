import type { ByteSource } from '../../../../patchreader.ts';
import { PanamaxError } from '../../../../../errors.ts';

/** Decompresses a section piece by piece. */
export interface Decompressor {
  /** Fills target[start, end) with the next bytes. @throws PanamaxError `bad-patch` if fewer are left */
  read(target: Uint8Array, start: number, end: number): void;
  /** @throws PanamaxError `bad-patch` unless the whole compressed section was used */
  finish(): void;
}

/** Bytes decompressed at a time for readers of single bytes. */
const SLICE = 2 ** 14;

/** One section of a window, read from its front and decompressed on demand. */
export class Section implements ByteSource {
  readonly #decompressor: Decompressor | undefined;
  #slice: Uint8Array;
  #at = 0;
  #end: number;
  /** Bytes not decompressed yet. */
  #behind: number;

  /** A section that is stored uncompressed. */
  static plain(bytes: Uint8Array): Section {
    return new Section(bytes, bytes.length, 0, undefined);
  }

  /** @param size of the decompressed section, in bytes */
  static compressed(size: number, decompressor: Decompressor): Section {
    return new Section(new Uint8Array(Math.min(size, SLICE)), 0, size, decompressor);
  }

  private constructor(
    slice: Uint8Array,
    end: number,
    behind: number,
    decompressor: Decompressor | undefined,
  ) {
    this.#slice = slice;
    this.#end = end;
    this.#behind = behind;
    this.#decompressor = decompressor;
  }

  get left(): number {
    return this.#end - this.#at + this.#behind;
  }

  byte(): number {
    if (this.#at === this.#end) this.#refill();
    return this.#slice[this.#at++]!;
  }

  /** Moves the next bytes to target[start, end). */
  readInto(target: Uint8Array, start: number, end: number): void {
    if (end - start > this.left) throw tooShort();
    const ready = Math.min(end - start, this.#end - this.#at);
    for (let i = 0; i < ready; i++) target[start + i] = this.#slice[this.#at + i]!;
    this.#at += ready;
    const rest = end - start - ready;
    if (rest === 0) return;
    this.#decompressor!.read(target, start + ready, end);
    this.#behind -= rest;
  }

  /** @throws PanamaxError `bad-patch` unless the section is used up */
  finish(): void {
    if (this.left > 0) {
      throw new PanamaxError('bad-patch', 'a section is longer than its window needs', { found: this.left });
    }
    this.#decompressor?.finish();
  }

  #refill(): void {
    if (this.#behind === 0) throw tooShort();
    const size = Math.min(this.#behind, this.#slice.length);
    this.#decompressor!.read(this.#slice, 0, size);
    this.#behind -= size;
    this.#at = 0;
    this.#end = size;
  }
}

function tooShort(): PanamaxError {
  return new PanamaxError('bad-patch', 'a section is shorter than its window needs');
}
