/** Small executables for x86-64 or arm64, of functions that call each other. */
import { createRandom } from './random.ts';

const CODE_AT = 0x1000;
const FUNCTION_SIZE = 96;
const PADDING = 0x90;

export interface ElfOptions {
  readonly seed: number;
  readonly functions: number;
  /** Bytes put in front of each function whose number is a multiple of 7. */
  readonly inserted: number;
  /** By default that of x86-64. */
  readonly machine?: number;
}

export const ARM64 = 183;
export const X86_64 = 62;

/** Code in one segment, with relocations that name each function, as a linker would place them. */
export function buildElf({ seed, functions, inserted, machine = X86_64 }: ElfOptions): Buffer {
  const random = createRandom(seed);
  const starts: number[] = [];
  let size = 0;
  for (let i = 0; i < functions; i++) {
    if (i % 7 === 0) size += inserted;
    starts.push(size);
    size += FUNCTION_SIZE;
  }
  const code = Buffer.alloc(size, PADDING);
  for (const start of starts) {
    random.bytes(24).copy(code, start);
    if (machine === ARM64) {
      for (let at = start + 24; at + 16 <= start + FUNCTION_SIZE; at += 16) {
        arm64Code(code, at, starts[random.below(functions)]!, starts[random.below(functions)]!);
      }
      continue;
    }
    for (let at = start + 24; at + 5 <= start + FUNCTION_SIZE; at += 9) {
      code[at] = 0xe8;
      code.writeInt32LE(starts[random.below(functions)]! - (at + 5), at + 1);
    }
  }
  const relocations = Buffer.alloc(24 * functions);
  for (const [i, start] of starts.entries()) {
    relocations.writeUInt32LE(CODE_AT + 16 * i, 24 * i);
    relocations.writeUInt32LE(8, 24 * i + 8);
    relocations.writeUInt32LE(CODE_AT + start, 24 * i + 16);
  }
  return assemble(code, relocations, machine);
}

const number = (value: number, bits: number) => value & (2 ** bits - 1);

/** A call, an address in a register, a conditional branch. */
function arm64Code(code: Buffer, at: number, callee: number, named: number): void {
  const [place, address] = [CODE_AT + at, CODE_AT + named];
  const pages = number((address >> 12) - ((place + 4) >> 12), 21);
  code.writeUInt32LE((0x94000000 | number((callee - at) >> 2, 26)) >>> 0, at);
  code.writeUInt32LE((0x90000003 | ((pages & 3) << 29) | ((pages >> 2) << 5)) >>> 0, at + 4);
  code.writeUInt32LE((0x91000063 | ((address & 0xfff) << 10)) >>> 0, at + 8);
  code.writeUInt32LE((0x54000000 | (number((callee - at - 12) >> 2, 19) << 5)) >>> 0, at + 12);
}

function assemble(code: Buffer, relocations: Buffer, machine: number): Buffer {
  const names = Buffer.from('\0.text\0.rela.dyn\0.shstrtab\0');
  const relocationsAt = CODE_AT + code.length + ((8 - (code.length % 8)) % 8);
  const namesAt = relocationsAt + relocations.length;
  const sectionsAt = namesAt + names.length + ((8 - ((namesAt + names.length) % 8)) % 8);
  const file = Buffer.alloc(sectionsAt + 4 * 64);
  file.write('\x7fELF\x02\x01\x01', 'latin1');
  file.writeUInt16LE(3, 16);
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(64, 32);
  file.writeUInt32LE(sectionsAt, 40);
  for (const [at, value] of [
    [52, 64],
    [54, 56],
    [56, 1],
    [58, 64],
    [60, 4],
    [62, 3],
  ] as const)
    file.writeUInt16LE(value, at);
  // one segment, readable and executable, at its offset in the file
  file.writeUInt32LE(1, 64);
  file.writeUInt32LE(5, 68);
  file.writeUInt32LE(namesAt, 64 + 32);
  file.writeUInt32LE(namesAt, 64 + 40);
  code.copy(file, CODE_AT);
  relocations.copy(file, relocationsAt);
  names.copy(file, namesAt);
  const section = (i: number, name: number, type: number, flags: number, at: number, size: number) => {
    const header = sectionsAt + 64 * i;
    for (const [offset, value] of [
      [0, name],
      [4, type],
      [8, flags],
      [16, flags === 0 ? 0 : at],
      [24, at],
      [32, size],
    ] as const)
      file.writeUInt32LE(value, header + offset);
  };
  section(1, 1, 1, 6, CODE_AT, code.length);
  section(2, 7, 4, 2, relocationsAt, relocations.length);
  section(3, 17, 3, 0, namesAt, names.length);
  return file;
}
