import type { ByteSource } from '../../../../patchreader.ts';
import { PanamaxError } from '../../../../../errors.ts';

/** What undoes a section's secondary compression, a stretch at a time. */
export interface Decompressor {
  /** Fills target[start, end) with what comes next; throws `bad-patch` when there is less. */
  read(target: Uint8Array, start: number, end: number): void;
  /** Throws `bad-patch` unless all of the compressed section was used. */
  finish(): void;
}

/** Decompressed ahead of single bytes. */
const SLICE = 2 ** 14;

/** One section of a window: bytes to take from the front, decompressed as they are asked for. */
export class Section implements ByteSource {
  readonly #decompressor: Decompressor | undefined;
  #slice: Uint8Array;
  #at = 0;
  #end: number;
  /** Bytes that are not in the slice yet. */
  #behind: number;

  /** A section as it stands in the patch. */
  static plain(bytes: Uint8Array): Section {
    return new Section(bytes, bytes.length, 0, undefined);
  }

  /** A section of `size` bytes once decompressed. */
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

  /** Throws `bad-patch` unless the section is used up. */
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
