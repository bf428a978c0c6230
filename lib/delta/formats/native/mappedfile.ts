import type { AddressMap } from './addressmap.ts';
import type { Elf, Section } from './elf.ts';
import type { Field } from './field.ts';

/** Input and output of the prediction of executables. */

/** Receives the predictions of aligned bytes. An encoder compares with the target, a decoder fills it in. */
export interface AlignedSink {
  /** Bytes that are predicted to be those of the source, of one of the classes that have streams of their own. */
  plain(byteClass: number, source: Uint8Array, from: number, target: number, length: number): void;
  /**
   * A word of 4 bytes that refers to an address.
   *
   * @param at offset in the target
   * @param kind of operand, from 0 to OPERAND_KINDS - 1
   * @param quality of the prediction, from 0 to 2
   * @param word of the source
   * @returns the word of the target
   */
  operand(at: number, kind: number, quality: number, predicted: number, word: number): number;
  /** The same for an instruction with a number in a field: the word is predicted and returned as its number. */
  field(at: number, kind: number, quality: number, predicted: number, word: number, field: Field): number;
}

/** An executable that is predicted from another. */
export interface MappedFile {
  readonly elf: Elf;
  readonly map: AddressMap;
  /** Where the files start in the source space and in the target. */
  readonly source: number;
  readonly target: number;
  readonly sourceSize: number;
}

/** A part of a section. */
export interface SectionStretch {
  readonly file: MappedFile;
  readonly section: Section;
  readonly bytes: Buffer;
  /** Offsets in the source file. */
  readonly from: number;
  readonly to: number;
  readonly inBytes: number;
  readonly inTarget: number;
  readonly sink: AlignedSink;
}
