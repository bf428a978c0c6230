import { addOpcode, CODE_TABLE, copyOpcode, MODE_HERE } from '../codetable.ts';
import type { Cut } from './cut.ts';
import type { Instructions } from './instructions.ts';
import { writeInteger } from '../integer.ts';

/** The three sections of a window, before secondary compression. */
export interface Sections {
  readonly data: Uint8Array;
  readonly instructions: Uint8Array;
  readonly addresses: Uint8Array;
}

export function sizeOf({ data, instructions, addresses }: Sections): number {
  return data.length + instructions.length + addresses.length;
}

/** An opcode and a size of up to 2^28 bytes; an address of 32 bits. */
const MAX_INSTRUCTION = 1 + 4;
const MAX_ADDRESS_SIZE = 5;

/** Encodes instructions as RFC 3284 defines them. */
export function writeSections(cut: Cut, window: Uint8Array, plan: Instructions): Sections {
  const data = new Uint8Array(addedSize(plan));
  const instructions = new Uint8Array(plan.count * MAX_INSTRUCTION);
  const addresses = new Uint8Array(plan.count * MAX_ADDRESS_SIZE);
  let dataEnd = 0;
  let instructionsEnd = 0;
  let addressesEnd = 0;
  let at = 0;
  for (let i = 0; i < plan.count; i++) {
    const size = plan.sizes[i]!;
    const source = plan.sources[i]!;
    let opcode: number;
    if (source < 0) {
      opcode = addOpcode(size);
      data.set(window.subarray(at, at + size), dataEnd);
      dataEnd += size;
    } else {
      opcode = copyOpcode(MODE_HERE, size);
      const address = source - cut.segmentOffset;
      addressesEnd = writeInteger(addresses, addressesEnd, cut.segmentSize + at - address);
    }
    instructions[instructionsEnd++] = opcode;
    if (CODE_TABLE.size1[opcode] === 0) instructionsEnd = writeInteger(instructions, instructionsEnd, size);
    at += size;
  }
  return {
    data,
    instructions: instructions.slice(0, instructionsEnd),
    addresses: addresses.slice(0, addressesEnd),
  };
}

function addedSize({ count, sizes, sources }: Instructions): number {
  let size = 0;
  for (let i = 0; i < count; i++) if (sources[i]! < 0) size += sizes[i]!;
  return size;
}
