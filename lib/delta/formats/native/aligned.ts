import { BACK_AT, FUNCTION_AT } from './ehframe.ts';
import { predictArm64 } from './arm64.ts';
import type { AlignedSink, MappedFile, SectionStretch } from './mappedfile.ts';
import { BACK, CALL, IMMEDIATE, JUMP, RELATIVE, TABLE, TO_SECTION, TO_SELF, WORD } from './operandkinds.ts';
import { ABSOLUTE, ARM64, CODE, JUMP_TABLES, NO_ADDRESSES, SECTION_RELATIVE, SELF_RELATIVE } from './elf.ts';
import type { Section } from './elf.ts';
import { CODE_BYTES, DATA_BYTES } from './streams.ts';

/** Bytes of the source that stand before those to predict from and behind them. */
export const CONTEXT = 16;

/** Kind of operand by the byte before it, of instructions where that alone tells; 0 for none, else 1 + kind. */
const BY_BYTE_BEFORE = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0xe8 || byte === 0xe9) return 1 + CALL;
  if ((byte & 0xf0) === 0x80) return 1 + JUMP;
  if ((byte & 0xc7) === 0x05) return 1 + RELATIVE;
  return 0;
});

/** Whether a word behind these bytes may be an absolute address of position-dependent code. */
function isImmediate(before: number, beforeThat: number): boolean {
  return (
    (before >= 0xb8 && before <= 0xbf) ||
    before === 0x68 ||
    beforeThat === 0xc7 ||
    (before === 0x25 && (beforeThat & 7) === 4) ||
    before === 0x3d ||
    beforeThat === 0x81
  );
}

const LOWEST_IMMEDIATE = 0x10000;
const LOWEST_WORD = 0x1000;
/** Entries of jump tables are negative: tables stand behind code. */
const LAST_TABLE_ENTRY = -64;

/**
 * Predicts a stretch of an executable.
 *
 * @param bytes of the source from `start - CONTEXT` on, to CONTEXT bytes behind the stretch
 * @param start of the stretch in the source space
 * @param target where it goes in the target
 */
export function predictExecutable(
  file: MappedFile,
  bytes: Buffer,
  start: number,
  target: number,
  length: number,
  sink: AlignedSink,
): void {
  const { sections } = file.elf;
  const first = start - file.source;
  const end = first + length;
  /** Distance from an offset in the file to its place in `bytes`, and to the target. */
  const inBytes = CONTEXT - first;
  const inTarget = target - first;
  let at = first;
  for (let i = firstEndingAfter(sections, first); i < sections.length && at < end; i++) {
    const section = sections[i]!;
    if (section.offset >= end) break;
    if (section.offset > at) {
      sink.plain(DATA_BYTES, bytes, at + inBytes, at + inTarget, section.offset - at);
      at = section.offset;
    }
    const stop = Math.min(end, section.end);
    const stretch: SectionStretch = { file, section, bytes, from: at, to: stop, inBytes, inTarget, sink };
    if (section.kind === CODE) (file.elf.machine === ARM64 ? predictArm64 : predictCode)(stretch);
    else if (section.kind === SELF_RELATIVE) predictFrames(stretch);
    else if (section.kind === NO_ADDRESSES) {
      sink.plain(DATA_BYTES, bytes, at + inBytes, at + inTarget, stop - at);
    } else predictWords(stretch);
    at = stop;
  }
  if (at < end) sink.plain(DATA_BYTES, bytes, at + inBytes, at + inTarget, end - at);
}

function firstEndingAfter(sections: readonly Section[], offset: number): number {
  let low = 0;
  let high = sections.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sections[middle]!.end > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

function predictCode({ file, section, bytes, from, to, inBytes, inTarget, sink }: SectionStretch): void {
  const { elf, map } = file;
  const { low, high, codeLow, codeHigh, isPositionDependent } = elf;
  const inMemory = section.address - section.offset;
  const fileInTarget = inTarget - file.target;
  let done = from;
  let at = Math.max(from, section.offset + 3);
  for (; at + 4 <= to; at++) {
    const place = at + inBytes;
    const before = bytes[place - 1]!;
    let kind = BY_BYTE_BEFORE[before]! - 1;
    if (kind === JUMP && bytes[place - 2] !== 0x0f) kind = -1;
    if (kind < 0) {
      if (!isPositionDependent || !isImmediate(before, bytes[place - 2]!)) continue;
      kind = IMMEDIATE;
    }
    const word = bytes.readInt32LE(place);
    let address: number;
    if (kind === IMMEDIATE) {
      address = word;
      if (address < LOWEST_IMMEDIATE || address < low || address >= high) continue;
    } else {
      address = at + inMemory + 4 + word;
      if (kind === RELATIVE ? address < low || address >= high : address < codeLow || address >= codeHigh)
        continue;
    }
    const base = kind === IMMEDIATE ? 0 : map.addressOf(at + fileInTarget) + 4;
    if (base === 3) continue;
    const predicted = (map.map(address) - base) | 0;
    if (at > done) sink.plain(CODE_BYTES, bytes, done + inBytes, done + inTarget, at - done);
    const found = sink.operand(at + inTarget, kind, map.quality, predicted, word);
    if (found !== predicted) map.learn(address, base + found);
    done = at + 4;
    at = done - 1;
  }
  if (to > done) sink.plain(CODE_BYTES, bytes, done + inBytes, done + inTarget, to - done);
}

/** Records of `.eh_frame` say how far back another record is, and how far away a function. */
function predictFrames({ file, section, bytes, from, to, inBytes, inTarget, sink }: SectionStretch): void {
  const { elf, map } = file;
  const { records } = section;
  const inMemory = section.address - section.offset;
  const fileInTarget = inTarget - file.target;
  let done = from;
  const operand = (at: number, kind: number, address: number, base: number, sign: number) => {
    const predicted = Math.imul(map.map(address) - base, sign);
    const { quality } = map;
    if (at > done) sink.plain(DATA_BYTES, bytes, done + inBytes, done + inTarget, at - done);
    const found = sink.operand(at + inTarget, kind, quality, predicted, bytes.readInt32LE(at + inBytes));
    if (found !== predicted) map.learn(address, base + Math.imul(found, sign));
    done = at + 4;
  };
  for (let i = firstFrom(records, from - FUNCTION_AT); i < records.length; i++) {
    const back = records[i]! + BACK_AT;
    if (back + 4 > to) break;
    const base = map.addressOf(back + fileInTarget);
    if (base < 0) continue;
    if (back >= from) operand(back, BACK, back + inMemory - bytes.readInt32LE(back + inBytes), base, -1);
    const at = records[i]! + FUNCTION_AT;
    if (at < from || at + 4 > to) continue;
    const address = at + inMemory + bytes.readInt32LE(at + inBytes);
    if (address >= elf.codeLow && address < elf.codeHigh) operand(at, TO_SELF, address, base + 4, 1);
  }
  if (to > done) sink.plain(DATA_BYTES, bytes, done + inBytes, done + inTarget, to - done);
}

function firstFrom(offsets: Int32Array, offset: number): number {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsets[middle]! < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function predictWords(stretch: SectionStretch): void {
  const { file, section, bytes, from, to, inBytes, inTarget, sink } = stretch;
  const { elf, map } = file;
  const { kind } = section;
  const inMemory = section.address - section.offset;
  const fileInTarget = inTarget - file.target;
  const width = kind === ABSOLUTE ? 8 : 4;
  let done = from;
  let tableEnd = -1;
  let table = 0;
  let tableTarget = 0;
  const operand = (at: number, operandKind: number, address: number, base: number) => {
    const predicted = (map.map(address) - base) | 0;
    const { quality } = map;
    if (at > done) sink.plain(DATA_BYTES, bytes, done + inBytes, done + inTarget, at - done);
    const found = sink.operand(
      at + inTarget,
      operandKind,
      quality,
      predicted,
      bytes.readInt32LE(at + inBytes),
    );
    if (found !== predicted) map.learn(address, base + found);
    done = at + 4;
  };
  const misaligned = (from + inMemory) % width;
  for (let at = from + (misaligned === 0 ? 0 : width - misaligned); at + width <= to; at += width) {
    const word = bytes.readInt32LE(at + inBytes);
    if (word === 0) continue;
    const address = at + inMemory;
    if (kind === ABSOLUTE) {
      if (word < LOWEST_WORD || word < elf.low || word >= elf.high) continue;
      if (bytes.readInt32LE(at + inBytes + 4) !== 0) continue;
      operand(at, WORD, word, 0);
    } else if (kind === SELF_RELATIVE) {
      const referred = address + word;
      const base = map.addressOf(at + fileInTarget);
      if (base >= 0 && referred >= elf.codeLow && referred < elf.codeHigh)
        operand(at, TO_SELF, referred, base);
    } else if (kind === SECTION_RELATIVE) {
      const referred = section.address + word;
      if (at < section.offset + 12 || referred < elf.low || referred >= elf.high) continue;
      operand(at, TO_SECTION, referred, map.map(section.address));
    } else if (kind === JUMP_TABLES) {
      const isInTable = tableEnd === at && table + word >= elf.codeLow && table + word < elf.codeHigh;
      if (!isInTable) {
        table = address;
        tableTarget = map.addressOf(at + fileInTarget);
      }
      const referred = table + word;
      if (tableTarget < 0 || word > LAST_TABLE_ENTRY || referred < elf.codeLow || referred >= elf.codeHigh)
        continue;
      tableEnd = at + 4;
      operand(at, TABLE, referred, tableTarget);
    }
  }
  if (to > done) sink.plain(DATA_BYTES, bytes, done + inBytes, done + inTarget, to - done);
}
