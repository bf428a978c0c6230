import { BRANCH, kept, NEAR, numberIn, OFFSET, PAGES, type Field } from './field.ts';
import type { SectionStretch } from './mappedfile.ts';
import { CALL, JUMP, LOW, PAGE, RELATIVE } from './operandkinds.ts';
import { CODE_BYTES } from './streams.ts';

/**
 * Addresses in code for arm64 (Arm Architecture Reference Manual, C4.1): targets of branches, literals, pages (ADRP), and offsets
 * that the next instructions add to a page.
 */

/** Instructions behind an ADRP that are looked at: as far as the bytes of any stretch go. */
const LOOKED_AT = 4;
const REGISTERS = 32;
const PAGE_BITS = 12;
const IN_PAGE = 2 ** PAGE_BITS - 1;

const isAdrp = (word: number) => (word & 0x9f000000) >>> 0 === 0x90000000;
const baseOf = (word: number) => (word >>> 5) & 31;

/** Bits that the offset of ADD, LDR or STR (unsigned offset) is shifted by; -1 for other instructions. */
function shiftOf(word: number): number {
  if ((word & 0xffc00000) >>> 0 === 0x91000000) return 0;
  if ((word & 0x3b000000) >>> 0 !== 0x39000000) return -1;
  return (word & 0x04800000) === 0x04800000 ? 4 : word >>> 30;
}

function offsetIn(word: number, shift: number): number {
  return ((word >>> 10) & 0xfff) << shift;
}

export function predictArm64({
  file,
  section,
  bytes,
  from,
  to,
  inBytes,
  inTarget,
  sink,
}: SectionStretch): void {
  const { elf, map } = file;
  const { low, high, codeLow, codeHigh } = elf;
  const inMemory = section.address - section.offset;
  const fileInTarget = inTarget - file.target;
  /** Pages that registers hold in the source, or -1, and in the target. */
  const pages = new Int32Array(REGISTERS).fill(-1);
  const targets = new Int32Array(REGISTERS);
  let done = from;

  /** @returns the number in the target */
  const operand = (at: number, kind: number, field: Field, predicted: number, word: number): number => {
    if (at > done) sink.plain(CODE_BYTES, bytes, done + inBytes, done + inTarget, at - done);
    done = at + 4;
    return sink.field(at + inTarget, kind, map.quality, kept(field, predicted), word, field);
  };

  const branch = (at: number, word: number, kind: number, field: Field): void => {
    const place = at + inMemory;
    const address = place + 4 * numberIn(field, word, word);
    const isLiteral = kind === RELATIVE;
    if (address < (isLiteral ? low : codeLow) || address >= (isLiteral ? high : codeHigh)) return;
    const base = map.addressOf(at + fileInTarget);
    if (base < 0) return;
    const predicted = (map.map(address) - base) >> 2;
    const found = operand(at, kind, field, predicted, word);
    if (found !== kept(field, predicted)) map.learn(address, base + 4 * found);
  };

  const page = (at: number, word: number): void => {
    const register = word & 31;
    const start = ((at + inMemory) >> PAGE_BITS) + numberIn(PAGES, word, word);
    pages[register] = -1;
    const base = map.addressOf(at + fileInTarget);
    if (base < 0 || start < low >> PAGE_BITS || start > high >> PAGE_BITS) return;
    let address = start << PAGE_BITS;
    for (let k = 1; k <= LOOKED_AT; k++) {
      const next = bytes.readInt32LE(at + inBytes + 4 * k);
      const shift = shiftOf(next);
      if (shift < 0 || baseOf(next) !== register) continue;
      address += offsetIn(next, shift);
      break;
    }
    const mapped = map.map(address);
    const predicted = (mapped >> PAGE_BITS) - (base >> PAGE_BITS);
    const found = operand(at, PAGE, PAGES, predicted, word);
    pages[register] = start;
    targets[register] = (base >> PAGE_BITS) + found;
    if (found !== kept(PAGES, predicted)) {
      map.learn(address, targets[register] * 2 ** PAGE_BITS + (mapped & IN_PAGE));
    }
  };

  const offset = (at: number, word: number, shift: number): void => {
    const register = baseOf(word);
    const address = (pages[register]! << PAGE_BITS) + offsetIn(word, shift);
    const predicted = (map.map(address) & IN_PAGE) >> shift;
    const found = operand(at, LOW, OFFSET, predicted, word);
    if (found !== predicted) map.learn(address, targets[register]! * 2 ** PAGE_BITS + found * 2 ** shift);
  };

  for (let at = from + (-(from + inMemory) & 3); at + 4 <= to; at += 4) {
    const word = bytes.readInt32LE(at + inBytes);
    const top = word >>> 26;
    if (top === 0x25) branch(at, word, CALL, BRANCH);
    else if (top === 0x05) branch(at, word, JUMP, BRANCH);
    else if (isAdrp(word)) page(at, word);
    else if ((word & 0xff000010) === 0x54000000 || (word & 0x7e000000) === 0x34000000) {
      branch(at, word, JUMP, NEAR);
    } else {
      const shift = shiftOf(word);
      if (shift >= 0 && pages[baseOf(word)]! >= 0) offset(at, word, shift);
      else if ((word & 0x3b000000) === 0x18000000) branch(at, word, RELATIVE, NEAR);
      // most instructions write the register of their lowest bits
      pages[word & 31] = -1;
    }
  }
  if (to > done) sink.plain(CODE_BYTES, bytes, done + inBytes, done + inTarget, to - done);
}
