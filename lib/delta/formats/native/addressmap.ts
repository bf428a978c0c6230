import { AlignmentBuilder } from '../../align/alignmentlist.ts';
import type { Elf, Segment } from './elf.ts';
import { free } from '../../../runtime/memory.ts';

/** Stretches of an executable's file that its source file has, too: offsets in both files and a length. */
export interface FileStretch {
  readonly source: number;
  readonly target: number;
  readonly length: number;
}

/** How sure a mapped address is. */
export const GUESSED = 0;
export const ALIGNED = 1;
export const LEARNED = 2;

const LEARNED_BITS = 15;
const MULTIPLIER = 0x9e3779b1 | 0;
const BLOCK_BITS = 8;
const PAGE_BITS = 12;

/** Stretches of memory that two executables have in common, ascending by the source's addresses. */
export interface AddressTable {
  readonly elf: Elf;
  readonly target: readonly Segment[];
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly size: Int32Array;
  /** For each block of addresses the first stretch that begins behind the block's start. */
  readonly firsts: Int32Array;
}

export function addressTable(
  elf: Elf,
  target: readonly Segment[],
  stretches: Iterable<FileStretch>,
): AddressTable {
  const mapped = new AlignmentBuilder();
  for (const { source, target: start, length } of stretches) {
    for (const segment of elf.segments) {
      const low = Math.max(source, segment.offset);
      const high = Math.min(source + length, segment.offset + segment.size);
      if (low >= high) continue;
      const to = addressIn(target, start + (low - source));
      if (to >= 0) mapped.push(to, segment.address + (low - segment.offset), high - low, 0);
    }
  }
  const { source, target: to, length, count } = mapped.items();
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  order.sort((a, b) => source[a]! - source[b]! || length[a]! - length[b]! || to[a]! - to[b]!);
  const inOrder = (column: Float64Array) => Int32Array.from(order, (i) => column[i]!);
  const from = inOrder(source);
  const table = { elf, target, from, to: inOrder(to), size: inOrder(length), firsts: firstsOf(elf, from) };
  for (const column of [source, to, length]) free(column);
  return table;
}

function firstsOf({ low, high }: Elf, from: Int32Array): Int32Array {
  const firsts = new Int32Array(((high - low) >>> BLOCK_BITS) + 1);
  for (let block = 0, i = 0; block < firsts.length; block++) {
    while (i < from.length && from[i]! <= low + (block << BLOCK_BITS)) i++;
    firsts[block] = i;
  }
  return firsts;
}

/** The address of an offset in a file, or -1. */
function addressIn(segments: readonly Segment[], offset: number): number {
  for (const segment of segments) {
    const at = offset - segment.offset;
    if (at >= 0 && at < segment.size) return segment.address + at;
  }
  return -1;
}

/**
 * Maps addresses of a source executable to those of the target: by corrections of the group so far, else by the stretches
 * that both files have.
 */
export class AddressMap {
  readonly #elf: Elf;
  readonly #table: AddressTable;
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  readonly #learnedFrom = new Int32Array(1 << LEARNED_BITS).fill(-1);
  readonly #learnedTo = new Int32Array(1 << LEARNED_BITS);
  /** By page of addresses: how far it moved at the last correction. */
  readonly #pages = new Map<number, number>();
  /** How sure the address mapped last is. */
  quality = GUESSED;

  constructor(table: AddressTable) {
    this.#table = table;
    this.#elf = table.elf;
    this.#from = table.from;
    this.#to = table.to;
  }

  /** The address of an offset in the target's file, or -1. */
  addressOf(offset: number): number {
    return addressIn(this.#table.target, offset);
  }

  map(address: number): number {
    const { low, high } = this.#elf;
    if (address < low || address >= high) {
      this.quality = GUESSED;
      return address;
    }
    const slot = Math.imul(address, MULTIPLIER) >>> (32 - LEARNED_BITS);
    if (this.#learnedFrom[slot] === address) {
      this.quality = LEARNED;
      return this.#learnedTo[slot]!;
    }
    this.quality = GUESSED;
    const count = this.#from.length;
    if (count === 0) return address;
    let i = this.#table.firsts[(address - low) >>> BLOCK_BITS]!;
    while (i < count && this.#from[i]! <= address) i++;
    if (i === 0) return (address + this.#to[0]! - this.#from[0]!) | 0;
    i--;
    if (address < this.#from[i]! + this.#table.size[i]!) this.quality = ALIGNED;
    else {
      const moved = this.#pages.get(address >>> PAGE_BITS);
      if (moved !== undefined) return (address + moved) | 0;
    }
    return (address + this.#to[i]! - this.#from[i]!) | 0;
  }

  learn(address: number, target: number): void {
    // a value far outside the source's memory is no address
    if (!(target >= 0 && target < 2 * this.#elf.high)) return;
    const slot = Math.imul(address, MULTIPLIER) >>> (32 - LEARNED_BITS);
    this.#learnedFrom[slot] = address;
    this.#learnedTo[slot] = target;
    this.#pages.set(address >>> PAGE_BITS, target - address);
  }
}
