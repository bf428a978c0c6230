import type { BitWriter } from '../bits.ts';

/** Finite state entropy coding like klauspost/compress (zstd/fse_encoder.go, fse/compress.go). */

/** The number of table states per symbol; -1 for a symbol of low probability. */
export interface Distribution {
  readonly tableLog: number;
  readonly norm: Int16Array;
}

/** A table for encoding. */
export interface FseTable extends Distribution {
  readonly deltaBits: Int32Array;
  readonly deltaState: Int32Array;
  readonly states: Uint16Array;
}

const MIN_TABLE_LOG = 5;
/** Thresholds of the rest for rounding up, by probability below 8. */
const ROUNDING = [0, 473195, 504333, 520860, 550000, 700000, 750000, 830000];
const UNASSIGNED = -2;

export const highBit = (value: number): number => 31 - Math.clz32(value);

/** @param symbolCount number of symbols up to the last that occurs */
export function tableLogOf(length: number, fewest: number, symbolCount: number, maxLog: number): number {
  const minBits = Math.min(highBit(fewest) + 1, highBit(symbolCount - 1) + 2);
  // wraps around like Go's uint8
  const most = (highBit(length - 1) - 2) & 0xff;
  return Math.min(Math.max(Math.min(maxLog, most), minBits, MIN_TABLE_LOG), maxLog);
}

/** Scales counts to the size of a table; undefined if that is impossible. */
export function normalized(counts: Uint32Array, length: number, tableLog: number): Int16Array | undefined {
  const norm = new Int16Array(counts.length);
  const scale = BigInt(62 - tableLog);
  const step = (1n << 62n) / BigInt(length);
  const roundingStep = 1n << (scale - 20n);
  const low = length >> tableLog;
  let left = 1 << tableLog;
  let largest = 0;
  let most = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]!;
    if (count === 0) continue;
    if (count <= low) {
      norm[i] = -1;
      left--;
      continue;
    }
    const exact = BigInt(count) * step;
    let share = Number(exact >> scale);
    if (share < 8 && exact - (BigInt(share) << scale) > roundingStep * BigInt(ROUNDING[share]!)) share++;
    if (share > most) {
      most = share;
      largest = i;
    }
    norm[i] = share;
    left -= share;
  }
  if (-left >= norm[largest]! >> 1) return normalizedOtherwise(counts, length, tableLog);
  norm[largest]! += left;
  return norm;
}

/** Scales counts that are mostly low. */
function normalizedOtherwise(counts: Uint32Array, length: number, tableLog: number): Int16Array | undefined {
  const norm = new Int16Array(counts.length);
  const low = length >>> tableLog;
  let lowOne = (length * 3) >>> (tableLog + 1);
  let total = length;
  let distributed = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]!;
    if (count === 0) continue;
    norm[i] = count <= low ? -1 : count <= lowOne ? 1 : UNASSIGNED;
    if (norm[i] === UNASSIGNED) continue;
    distributed++;
    total -= count;
  }
  let left = (1 << tableLog) - distributed;
  if (Math.floor(total / left) > lowOne) {
    lowOne = Math.floor((total * 3) / (left * 2));
    for (let i = 0; i < counts.length; i++) {
      if (norm[i] !== UNASSIGNED || counts[i]! > lowOne) continue;
      norm[i] = 1;
      distributed++;
      total -= counts[i]!;
    }
    left = (1 << tableLog) - distributed;
  }
  if (distributed === counts.length + 1) {
    norm[counts.indexOf(Math.max(...counts))]! += left;
    return norm;
  }
  if (total === 0) {
    for (let i = 0; left > 0; i = (i + 1) % counts.length) {
      if (norm[i]! <= 0) continue;
      left--;
      norm[i]!++;
    }
    return norm;
  }
  const shift = BigInt(62 - tableLog);
  const middle = (1n << (shift - 1n)) - 1n;
  const step = ((1n << shift) * BigInt(left) + middle) / BigInt(total);
  let done = middle;
  for (let i = 0; i < counts.length; i++) {
    if (norm[i] !== UNASSIGNED) continue;
    const end = done + BigInt(counts[i]!) * step;
    const weight = Number((end >> shift) - (done >> shift));
    if (weight < 1) return undefined;
    norm[i] = weight;
    done = end;
  }
  return norm;
}

export function buildTable({ norm, tableLog }: Distribution): FseTable {
  const size = 1 << tableLog;
  const symbols = new Uint8Array(size);
  const starts = new Int32Array(norm.length + 1);
  let high = size - 1;
  for (let i = 0; i < norm.length; i++) {
    starts[i + 1] = starts[i]! + Math.abs(norm[i]!);
    if (norm[i] === -1) symbols[high--] = i;
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  for (let i = 0; i < norm.length; i++) {
    for (let n = norm[i]!; n > 0; n--) {
      symbols[at] = i;
      do at = (at + step) & (size - 1);
      while (at > high);
    }
  }
  const states = new Uint16Array(size);
  for (let i = 0; i < size; i++) states[starts[symbols[i]!]!++] = size + i;
  const deltaBits = new Int32Array(norm.length);
  const deltaState = new Int32Array(norm.length);
  let total = 0;
  for (let i = 0; i < norm.length; i++) {
    const n = Math.abs(norm[i]!);
    if (n === 0) continue;
    if (n === 1) {
      deltaBits[i] = (tableLog << 16) - size;
      deltaState[i] = total - 1;
    } else {
      const most = tableLog - highBit(n - 1);
      deltaBits[i] = (most << 16) - (n << most);
      deltaState[i] = total - n;
    }
    total += n;
  }
  return { norm, tableLog, deltaBits, deltaState, states };
}

/** Writes a distribution (RFC 8878, section 4.1.1). */
export function writeDistribution({ norm, tableLog }: Distribution, out: BitWriter): void {
  const size = 1 << tableLog;
  out.bits(tableLog - MIN_TABLE_LOG, 4);
  let remaining = size + 1;
  let threshold = size;
  let bits = tableLog + 1;
  let isAfterZero = false;
  for (let i = 0; remaining > 1;) {
    if (isAfterZero) {
      let start = i;
      while (norm[i] === 0) i++;
      for (; i >= start + 24; start += 24) out.bits(0xffff, 16);
      for (; i >= start + 3; start += 3) out.bits(3, 2);
      out.bits(i - start, 2);
    }
    const n = norm[i++]!;
    const most = 2 * threshold - 1 - remaining;
    remaining -= Math.abs(n);
    let value = n + 1;
    if (value >= threshold) value += most;
    out.bits(value, value < most ? bits - 1 : bits);
    isAfterZero = value === 1;
    while (remaining < threshold) {
      bits--;
      threshold >>= 1;
    }
  }
  out.align();
}

/** The state after the first symbol. */
export function firstState({ deltaBits, deltaState, states }: FseTable, symbol: number): number {
  const bits = (deltaBits[symbol]! + (1 << 15)) >>> 16;
  return states[(((bits << 16) - deltaBits[symbol]!) >> bits) + deltaState[symbol]!]!;
}

/** Writes the low bits of a state. @returns the next state */
export function nextState(
  { deltaBits, deltaState, states }: FseTable,
  state: number,
  symbol: number,
  out: BitWriter,
): number {
  const bits = (state + deltaBits[symbol]!) >>> 16;
  out.bits(state & ((1 << bits) - 1), bits);
  return states[(state >> bits) + deltaState[symbol]!]!;
}

/** Codes symbols by two alternating states, the last symbol first; undefined if that does not make them smaller. */
export function fseCompressed(symbols: Uint8Array, maxLog: number, out: BitWriter): Uint8Array | undefined {
  const n = symbols.length;
  if (n <= 2) return undefined;
  const all = new Uint32Array(256);
  for (const symbol of symbols) all[symbol]!++;
  const counts = all.subarray(0, Math.max(...symbols) + 1);
  const most = Math.max(...counts);
  if (most === n || most === 1 || most < n >> 7) return undefined;
  const tableLog = tableLogOf(n, n - 1, counts.length, maxLog);
  const norm = normalized(counts, n, tableLog);
  if (!norm) return undefined;
  const table = buildTable({ norm, tableLog });
  writeDistribution(table, out);
  // states of symbols at even and odd places
  const state = [0, 0];
  for (let i = n - 1; i >= 0; i--) {
    const symbol = symbols[i]!;
    state[i & 1] = i >= n - 2 ? firstState(table, symbol) : nextState(table, state[i & 1]!, symbol, out);
  }
  for (const i of [1, 0]) out.bits(state[i]! & ((1 << tableLog) - 1), tableLog);
  out.bits(1, 1);
  out.align();
  const made = out.take();
  return made.length >= n ? undefined : made;
}
