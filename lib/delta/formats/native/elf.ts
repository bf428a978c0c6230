import { functionRecords } from './ehframe.ts';
import { free } from '../../../runtime/memory.ts';

/** The parts that address mapping needs of a 64-bit little-endian ELF executable for x86-64 or arm64 (System V ABI, gABI chapter 4). */

/** A loaded segment: where it is in the file, and where in memory. */
export interface Segment {
  readonly offset: number;
  readonly address: number;
  readonly size: number;
  readonly memorySize: number;
  readonly isCode: boolean;
}

/** How the words of a section refer to addresses. */
export const NO_ADDRESSES = 0;
/** Operands of instructions. */
export const CODE = 1;
/** Relative to themselves, at places that records tell: `.eh_frame`. */
export const SELF_RELATIVE = 2;
/** Relative to the section's start: `.eh_frame_hdr`. */
export const SECTION_RELATIVE = 3;
/** Absolute, of 8 bytes. */
export const ABSOLUTE = 4;
/** Constants, and tables of jumps relative to the table's start. */
export const JUMP_TABLES = 5;

export interface Section {
  readonly name: string;
  readonly offset: number;
  readonly end: number;
  readonly address: number;
  readonly kind: number;
  /** Offsets in the file of records that describe functions; of `.eh_frame` alone. */
  readonly records: Int32Array;
}

export interface Elf {
  /** Of the ELF header. */
  readonly machine: number;
  readonly isPositionDependent: boolean;
  readonly segments: readonly Segment[];
  /** Ascending by offset, without overlaps. */
  readonly sections: readonly Section[];
  /** Bounds of all loaded memory and of code. */
  readonly low: number;
  readonly high: number;
  readonly codeLow: number;
  readonly codeHigh: number;
}

const HEADER_SIZE = 64;
const SEGMENT_SIZE = 56;
const SECTION_SIZE = 64;
const X86_64 = 62;
export const ARM64 = 183;
const LOAD = 1;
const NOBITS = 8;
const EXECUTABLE_SEGMENT = 1;
const EXECUTABLE_SECTION = 4;
const MAX_SEGMENTS = 16;
const MAX_HEADERS = 64;
const MAX_SECTIONS = 256;
const MAX_NAMES = 64 * 1024;
/** Loaded memory at most: so many bytes, and so many times the file's size. */
const MAX_SPAN = 16 * 1024 ** 2;
const MAX_SPAN_RATIO = 16;
const MAX_FRAMES = 32 * 1024 ** 2;
const NO_RECORDS = new Int32Array();
/** Addresses are computed in 32 bits. */
const MAX_ADDRESS = 2 ** 31 - 2 ** 16;

/** Reads at an offset of the file; undefined beyond its end. */
export type ReadAt = (offset: number, size: number) => Buffer | undefined;

/** The loaded segments, ascending; none for other files, and for values beyond the bounds. */
export function readSegments(read: ReadAt): Segment[] {
  const header = read(0, HEADER_SIZE);
  if (!header || header.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return [];
  if (![X86_64, ARM64].includes(header.readUInt16LE(18))) return [];
  const count = header.readUInt16LE(56);
  if (count > MAX_HEADERS || header.readUInt16LE(54) !== SEGMENT_SIZE) return [];
  const table = read(numberAt(header, 32), count * SEGMENT_SIZE);
  if (!table) return [];
  const segments: Segment[] = [];
  for (let at = 0; at < table.length; at += SEGMENT_SIZE) {
    if (table.readUInt32LE(at) !== LOAD) continue;
    segments.push({
      offset: numberAt(table, at + 8),
      address: numberAt(table, at + 16),
      size: numberAt(table, at + 32),
      memorySize: numberAt(table, at + 40),
      isCode: (table.readUInt32LE(at + 4) & EXECUTABLE_SEGMENT) !== 0,
    });
  }
  return areUsable(segments) ? segments : [];
}

/** Whether segments are within the bounds, and none begins in the file before the one before it ends. */
export function areUsable(segments: readonly Segment[]): boolean {
  let end = 0;
  for (const { offset, address, size, memorySize } of segments) {
    if (offset + size > 2 ** 45 || address + Math.max(size, memorySize) > MAX_ADDRESS) return false;
    if (size === 0) continue;
    if (offset < end) return false;
    end = offset + size;
  }
  return segments.length <= MAX_SEGMENTS;
}

/**
 * @param size of the file
 * @returns undefined unless the file is an executable that can be mapped
 */
export function readElf(read: ReadAt, size: number): Elf | undefined {
  const segments = readSegments(read);
  const code = segments.filter(({ isCode }) => isCode);
  if (code.length === 0) return undefined;
  const header = read(0, HEADER_SIZE)!;
  const bounds = boundsOf(segments, 'low', 'high');
  if (bounds.high - bounds.low > MAX_SPAN + MAX_SPAN_RATIO * size) return undefined;
  return {
    machine: header.readUInt16LE(18),
    isPositionDependent: header.readUInt16LE(16) === 2,
    segments,
    sections: readSections(read, header, size),
    ...bounds,
    ...boundsOf(code, 'codeLow', 'codeHigh'),
  };
}

function boundsOf<Low extends string, High extends string>(
  segments: readonly Segment[],
  low: Low,
  high: High,
): Record<Low | High, number> {
  return {
    [low]: Math.min(...segments.map(({ address }) => address)),
    [high]: Math.max(...segments.map(({ address, memorySize }) => address + memorySize)),
  } as Record<Low | High, number>;
}

/** Sections that are within the file. */
function readSections(read: ReadAt, header: Buffer, fileSize: number): Section[] {
  const count = header.readUInt16LE(60);
  const namesAt = header.readUInt16LE(62);
  if (count > MAX_SECTIONS || namesAt >= count || header.readUInt16LE(58) !== SECTION_SIZE) return [];
  const table = read(numberAt(header, 40), count * SECTION_SIZE);
  if (!table) return [];
  const nameHeader = namesAt * SECTION_SIZE;
  const namesSize = numberAt(table, nameHeader + 32);
  const names = namesSize <= MAX_NAMES ? read(numberAt(table, nameHeader + 24), namesSize) : undefined;
  if (!names) return [];
  const sections: Section[] = [];
  for (let at = SECTION_SIZE; at < table.length; at += SECTION_SIZE) {
    const type = table.readUInt32LE(at + 4);
    const flags = table.readUInt32LE(at + 8);
    const address = numberAt(table, at + 16);
    const offset = numberAt(table, at + 24);
    const size = numberAt(table, at + 32);
    if (type === NOBITS || size === 0 || address + size > MAX_ADDRESS || offset + size > fileSize) continue;
    const nameAt = table.readUInt32LE(at);
    const name = names.toString('latin1', nameAt, Math.min(names.length, nameAt + 16)).split('\0')[0]!;
    const kind = kindOf(name, type, flags);
    const frames = kind === SELF_RELATIVE && size <= MAX_FRAMES ? read(offset, size) : undefined;
    const records = frames ? functionRecords(frames).map((record) => record + offset) : NO_RECORDS;
    if (frames) free(frames);
    sections.push({ name, offset, end: offset + size, address, kind, records });
  }
  sections.sort((a, b) => a.offset - b.offset || a.end - b.end);
  return sections.filter(({ offset }, i) => i === 0 || offset >= sections[i - 1]!.end);
}

/** Types of sections that hold absolute addresses: PROGBITS, SYMTAB, RELA, DYNAMIC, DYNSYM, INIT and FINI arrays. */
const ABSOLUTE_TYPES = [1, 2, 4, 6, 11, 14, 15];

function kindOf(name: string, type: number, flags: number): number {
  if (name.startsWith('.note') || name === '.dynstr' || name === '.comment') return NO_ADDRESSES;
  if (flags & EXECUTABLE_SECTION) return CODE;
  if (name === '.eh_frame') return SELF_RELATIVE;
  if (name === '.eh_frame_hdr') return SECTION_RELATIVE;
  if (name.startsWith('.rodata')) return JUMP_TABLES;
  return ABSOLUTE_TYPES.includes(type) ? ABSOLUTE : NO_ADDRESSES;
}

/** A 64-bit number; values beyond 2^53 are rounded, and refused by the bounds. */
function numberAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + 2 ** 32 * bytes.readUInt32LE(at + 4);
}
