import { AlignmentBuilder } from '../../align/alignmentlist.ts';
import type { Alignments } from '../../align/alignment.ts';
import type { FilePair } from './batch.ts';
import { free } from '../../../runtime/memory.ts';
import type { Space } from '../../../runtime/space.ts';

/**
 * Chooses the operations of a patch. The matcher keeps each alignment that may save bytes in some format. Here the cheapest
 * chain of them is found, by prices of operations, of new bytes and of differences. Prices are in sixteenths of a bit, as
 * measured on patches.
 */

/** Operations that are left out in a row at most. */
const MOST_OMITTED = 12;
/** Distances that the coder of operations remembers. */
const RECENT = 16;
/** Bytes between two operations of one distance that may be predicted at this distance, too. */
const MAX_HOLE = 4096;
const ONE_BIT = 16;
/** Of a byte that differs from its prediction, and of the place of a run of them. */
const DIFFERENCE = 7 * ONE_BIT;
const RUN = 10 * ONE_BIT;
/** Bytes of such a run that are as predicted. */
const WITHIN_RUN = 2;
/** Most differences of a predicted executable are addresses, which are predicted better than the bytes. */
const OF_MAPPED = 1 / 4;
/** A new byte costs so much, unless LZMA repeats the first ones. */
const NEW_BYTE = 60;
const REPEATED_BYTE = 8;
const MAX_REPEAT = 64;
/** Repeats are rarer in executables. */
const REPEAT_IN_MAPPED = 240;
const REPEAT = 100;
const RECENT_PRICE = 5 * ONE_BIT;

/**
 * @param operations in the target program, ascending
 * @param files that are predicted
 */
export function pruned(
  operations: Alignments,
  source: Space,
  program: Space,
  files: readonly FilePair[],
): Alignments {
  const { count, target, length, source: from } = operations;
  const isMapped = mappedOf(operations, files);
  const isRecent = recentOf(operations);
  const fresh = Float64Array.from(length, (size, i) => freshPrice(size, isMapped[i] === 1));
  const holes = findHoles(operations, source, program, isMapped);
  const price = new Float64Array(count + 1).fill(Infinity);
  /** The operation before on the cheapest chain, and whether both become one. */
  const before = new Int32Array(count + 1).fill(-1);
  const joins = new Uint8Array(count + 1);
  // behind the last operation stands the end of the program
  for (let i = 0; i <= count; i++) {
    let omitted = 0;
    for (let j = i - 1; j >= -1 && j >= i - 1 - MOST_OMITTED; j--) {
      const start = j < 0 ? 0 : price[j]!;
      const consider = (whole: number, isJoined: number) => {
        if (whole >= price[i]!) return;
        price[i] = whole;
        before[i] = j;
        joins[i] = isJoined;
      };
      if (i === count) consider(start + omitted, 0);
      else {
        const hole = holes.between(j, i);
        if (hole !== undefined) consider(start + hole + holes.own[i]!, 1);
        const gap = target[i]! - (j < 0 ? 0 : target[j]! + length[j]!);
        const step = from[i]! - target[i]! - (j < 0 ? 0 : from[j]! - target[j]!);
        const place = isRecent[i] === 1 ? RECENT_PRICE : stepPrice(Math.abs(step));
        consider(start + omitted + holes.own[i]! + gapPrice(gap) + place + lengthPrice(length[i]!), 0);
      }
      if (j >= 0) omitted += fresh[j]!;
    }
  }
  const kept = chain(operations, before, joins);
  for (const column of [fresh, holes.own, price, before, joins, isMapped, isRecent]) free(column);
  return kept;
}

function freshPrice(size: number, isMapped: boolean): number {
  const repeated = Math.min(size, MAX_REPEAT);
  const repeat = (isMapped ? REPEAT_IN_MAPPED : REPEAT) + REPEATED_BYTE * repeated;
  return Math.min(NEW_BYTE * repeated, repeat) + NEW_BYTE * (size - repeated);
}

const gapPrice = (gap: number) => (gap === 0 ? 2 * ONE_BIT : 3 * ONE_BIT + 13 * magnitude(gap));
const lengthPrice = (length: number) => 4 * ONE_BIT + 12 * magnitude(length);
const stepPrice = (step: number) => 4 * ONE_BIT + ONE_BIT * magnitude(step);

function magnitude(value: number): number {
  return value < 2 ** 31 ? 32 - Math.clz32(value) : 31 + magnitude(Math.floor(value / 2 ** 31));
}

function chain(operations: Alignments, before: Int32Array, joins: Uint8Array): Alignments {
  const { count, target, length, source } = operations;
  const kept: number[] = [];
  for (let i = before[count]!; i >= 0; i = before[i]!) kept.push(i);
  const out = new AlignmentBuilder();
  for (const i of kept.toReversed()) {
    const last = out.count - 1;
    if (joins[i] === 1) out.length[last] = target[i]! + length[i]! - out.target[last]!;
    else out.push(target[i]!, source[i]!, length[i]!, 0);
  }
  return out.items();
}

/** Whether each operation has one of the distances of those before it. */
function recentOf({ count, target, source }: Alignments): Uint8Array {
  const isRecent = new Uint8Array(count);
  const distances = new Float64Array(RECENT);
  for (let i = 0; i < count; i++) {
    const distance = source[i]! - target[i]!;
    const index = distances.indexOf(distance);
    isRecent[i] = index < 0 ? 0 : 1;
    distances.copyWithin(1, 0, index < 0 ? RECENT - 1 : index);
    distances[0] = distance;
  }
  return isRecent;
}

/** Whether each operation begins in an executable that is predicted. */
function mappedOf({ target }: Alignments, files: readonly FilePair[]): Uint8Array {
  let file = 0;
  return Uint8Array.from(target, (at) => {
    while (file < files.length && files[file]!.target + files[file]!.size <= at) file++;
    return file < files.length && files[file]!.target <= at ? 1 : 0;
  });
}

interface Holes {
  /** Prices of the differences of operations within holes; 0 for other operations, as they are not compared. */
  readonly own: Float64Array;
  /** Price of predicting all bytes between two operations at their distance; undefined if they do not share one. */
  between(j: number, i: number): number | undefined;
}

function findHoles(operations: Alignments, source: Space, program: Space, isMapped: Uint8Array): Holes {
  const { count, target, length, source: from } = operations;
  const own = new Float64Array(count);
  const prices = new Map<number, number>();
  const predicted = Buffer.alloc(MAX_HOLE);
  const found = Buffer.alloc(MAX_HOLE);
  const priceAt = (k: number, at: number, distance: number, size: number): number => {
    source.read(predicted.subarray(0, size), at + distance);
    program.read(found.subarray(0, size), at);
    return differencePrice(predicted, found, size) * (isMapped[k] === 1 ? OF_MAPPED : 1);
  };
  for (let i = 1; i < count; i++) {
    const distance = from[i]! - target[i]!;
    for (let j = i - 1; j >= 0 && j >= i - 1 - MOST_OMITTED; j--) {
      const start = target[j]! + length[j]!;
      const size = target[i]! - start;
      if (size > MAX_HOLE) break;
      if (from[j]! - target[j]! !== distance) continue;
      prices.set(key(j, i), priceAt(i, start, distance, size));
      for (let k = j + 1; k < i; k++) own[k] ||= priceAt(k, target[k]!, from[k]! - target[k]!, length[k]!);
      break;
    }
  }
  return { own, between: (j, i) => (j < 0 ? undefined : prices.get(key(j, i))) };
}

/** Of an operation and one of those before it. */
function key(j: number, i: number): number {
  return i * (MOST_OMITTED + 1) + i - 1 - j;
}

function differencePrice(predicted: Uint8Array, found: Uint8Array, size: number): number {
  let price = 0;
  let last = -Infinity;
  for (let i = 0; i < size; i++) {
    if (predicted[i] === found[i]) continue;
    price += DIFFERENCE + (i - last > WITHIN_RUN + 1 ? RUN : 0);
    last = i;
  }
  return price;
}
