import { createBitWriter, type BitWriter } from '../bits.ts';
import { fseCompressed, highBit } from './fse.ts';

/** Huffman coding of literals like klauspost/compress (huff0/compress.go). */

/** The result of coding literals. */
export type CodedLiterals =
  | { readonly kind: 'raw' }
  | { readonly kind: 'run' }
  | { readonly kind: 'new' | 'again'; readonly bytes: Uint8Array };

export interface LiteralCoder {
  /** @param isSplit whether to write four streams */
  code(literals: Uint8Array, isSplit: boolean): CodedLiterals;
  /** Sets whether the next literals may reuse the codes of the last ones. */
  allowReuse(isAllowed: boolean): void;
}

interface Codes {
  // by symbol up to the last that occurs: length of the code (0 for none), and the code
  readonly lengths: Uint8Array;
  readonly values: Uint16Array;
  readonly tableLog: number;
}

const MAX_TABLE_LOG = 11;
const MIN_TABLE_LOG = 5;
const WEIGHT_TABLE_LOG = 6;
/** A block must shrink by a sixteenth. */
const WANTED_SHIFT = 4;
const NODES = 512;
const RANKS = 19;
const NONE = -1;

export function createLiteralCoder(): LiteralCoder {
  const counts = new Uint32Array(256);
  const writer = createBitWriter();
  let previous: Codes | undefined;
  let isReuseAllowed = false;

  function stream(part: Uint8Array, { lengths, values }: Codes): Uint8Array {
    // the decoder reads backwards
    for (let i = part.length - 1; i >= 0; i--) {
      const symbol = part[i]!;
      writer.bits(values[symbol]!, lengths[symbol]!);
    }
    writer.bits(1, 1);
    writer.align();
    return writer.take();
  }

  /** @returns undefined if a symbol has no code or the result is too large */
  function streams(literals: Uint8Array, isSplit: boolean, codes: Codes): Uint8Array[] | undefined {
    if (!isSplit) return [stream(literals, codes)];
    const size = (literals.length + 3) >> 2;
    const parts = [0, 1, 2, 3].map((i) => stream(literals.subarray(i * size, (i + 1) * size), codes));
    if (parts.some(({ length }) => length > 0xffff)) return undefined;
    const jumps = Buffer.alloc(6);
    for (const i of [0, 1, 2]) jumps.writeUInt16LE(parts[i]!.length, 2 * i);
    return [jumps, ...parts];
  }

  return {
    allowReuse(isAllowed) {
      isReuseAllowed = isAllowed;
    },
    code(literals, isSplit) {
      if (!isReuseAllowed) previous = undefined;
      counts.fill(0);
      for (let i = 0; i < literals.length; i++) counts[literals[i]!]!++;
      let most = 0;
      let symbolCount = 0;
      let canReuse = previous !== undefined;
      for (let i = 0; i < counts.length; i++) {
        if (counts[i] === 0) continue;
        most = Math.max(most, counts[i]!);
        symbolCount = i + 1;
        if (!previous?.lengths[i]) canReuse = false;
      }
      const { length } = literals;
      const wanted = length - (length >> WANTED_SHIFT);
      if (most >= length) return length === 1 ? { kind: 'raw' } : { kind: 'run' };
      if (most === 1 || most < length >> 7) return { kind: 'raw' };
      const occurring = counts.subarray(0, symbolCount);
      const codes = buildCodes(occurring, length);
      const made = (kind: 'new' | 'again', parts: readonly Uint8Array[] | undefined): CodedLiterals => {
        if (!parts) return { kind: 'raw' };
        const bytes = Buffer.concat(parts);
        return bytes.length >= wanted ? { kind: 'raw' } : { kind, bytes };
      };
      // like klauspost/compress, counts the new table as 0 bytes
      if (canReuse && (sizeIn(previous!, occurring) <= sizeIn(codes, occurring) || 12 >= wanted)) {
        return made('again', streams(literals, isSplit, previous!));
      }
      const table = codeTable(codes, writer);
      const parts = table && streams(literals, isSplit, codes);
      const result = made('new', parts && [table, ...parts]);
      if (result.kind === 'new') previous = codes;
      return result;
    },
  };
}

function sizeIn({ lengths }: Codes, counts: Uint32Array): number {
  let bits = 7;
  for (let i = 0; i < counts.length; i++) bits += lengths[i]! * counts[i]!;
  return bits >>> 3;
}

/** The code lengths as a table (RFC 8878, section 4.2.1); undefined if they cannot be written. */
function codeTable({ lengths, tableLog }: Codes, writer: BitWriter): Uint8Array | undefined {
  // the last weight follows from the others
  const weights = lengths.subarray(0, -1).map((length) => (length === 0 ? 0 : tableLog + 1 - length));
  const compressed = fseCompressed(weights, WEIGHT_TABLE_LOG, writer);
  if (compressed && compressed.length < lengths.length >> 1) {
    return Buffer.concat([Uint8Array.of(compressed.length), compressed]);
  }
  if (weights.length > 128) return undefined;
  const packed = new Uint8Array(1 + ((weights.length + 1) >> 1));
  packed[0] = 128 + weights.length - 1;
  for (let i = 0; i < weights.length; i++) packed[1 + (i >> 1)]! |= weights[i]! << (i % 2 === 0 ? 4 : 0);
  return packed;
}

/** Codes for at least two symbols. */
function buildCodes(counts: Uint32Array, length: number): Codes {
  const fewest = Math.min(highBit(length) + 1, highBit(counts.length - 1) + 2);
  const enough = (highBit(length - 1) - 1) & 0xff;
  const wantedLog = Math.min(Math.max(Math.min(MAX_TABLE_LOG, enough), fewest, MIN_TABLE_LOG), MAX_TABLE_LOG);
  const symbols = sorted(counts);
  let last = symbols.length - 1;
  while (counts[symbols[last]!] === 0) last--;
  const bits = treeDepths(symbols, counts, last);
  const tableLog = limitDepths(bits, symbols, counts, last, wantedLog);
  const lengths = new Uint8Array(counts.length);
  const perLength = new Uint16Array(MAX_TABLE_LOG + 1);
  for (let i = 0; i <= last; i++) {
    lengths[symbols[i]!] = bits[i]!;
    perLength[bits[i]!]!++;
  }
  const next = new Uint16Array(16);
  let smallest = 0;
  for (let n = tableLog; n > 0; n--) {
    next[n] = smallest;
    smallest = (smallest + perLength[n]!) >> 1;
  }
  const values = Uint16Array.from(lengths, (n) => next[n]!++);
  return { lengths, values, tableLog };
}

/** Symbols by descending counts. The order of equal counts affects the output. */
function sorted(counts: Uint32Array): Uint8Array {
  const base = new Uint32Array(RANKS + 1);
  for (const count of counts) base[highBit(count + 1)]!++;
  for (let rank = RANKS; rank > 0; rank--) base[rank - 1]! += base[rank]!;
  const current = base.slice();
  const symbols = new Uint8Array(counts.length);
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol]!;
    const rank = highBit(count + 1) + 1;
    let at = current[rank]!++;
    for (; at > base[rank]! && count > counts[symbols[at - 1]!]!; at--) symbols[at] = symbols[at - 1]!;
    symbols[at] = symbol;
  }
  return symbols;
}

/** Code lengths of sorted symbols up to `last`, without a limit. */
function treeDepths(symbols: Uint8Array, counts: Uint32Array, last: number): Uint8Array {
  const start = symbols.length;
  const root = start + last - 1;
  // barriers beyond the last symbol and the last node
  const weight = new Float64Array(NODES + 1).fill(2 ** 30);
  const parent = new Uint16Array(NODES);
  const bits = new Uint8Array(NODES);
  for (let i = 0; i <= last; i++) weight[i] = counts[symbols[i]!]!;
  let symbol = last;
  let node = start;
  const smallest = (): number =>
    (symbol < 0 ? 2 ** 31 : weight[symbol]!) < weight[node]! ? symbol-- : node++;
  for (let made = start; made <= root; made++) {
    const first = made === start ? symbol-- : smallest();
    const second = made === start ? symbol-- : smallest();
    weight[made] = weight[first]! + weight[second]!;
    parent[first] = made;
    parent[second] = made;
  }
  for (let n = root - 1; n >= start; n--) bits[n] = bits[parent[n]!]! + 1;
  for (let n = 0; n <= last; n++) bits[n] = bits[parent[n]!]! + 1;
  return bits;
}

/** Limits code lengths by lengthening other codes. @returns the longest length */
function limitDepths(
  bits: Uint8Array,
  symbols: Uint8Array,
  counts: Uint32Array,
  last: number,
  limit: number,
): number {
  const largest = bits[last]!;
  if (largest <= limit) return largest;
  const weight = (at: number) => counts[symbols[at]!]!;
  let cost = 0;
  let n = last;
  for (; bits[n]! > limit; n--) {
    cost += (1 << (largest - limit)) - (1 << (largest - bits[n]!));
    bits[n] = limit;
  }
  while (bits[n] === limit) n--;
  cost >>= largest - limit;
  // the last place of codes, by how much they are shorter than the limit
  const places = new Int32Array(MAX_TABLE_LOG + 2).fill(NONE);
  let current = limit;
  for (let at = n; at >= 0; at--) {
    if (bits[at]! >= current) continue;
    current = bits[at]!;
    places[limit - current] = at;
  }
  while (cost > 0) {
    let step = highBit(cost) + 1;
    for (; step > 1; step--) {
      const high = places[step]!;
      const low = places[step - 1]!;
      if (high === NONE) continue;
      if (low === NONE || weight(high) <= 2 * weight(low)) break;
    }
    while (step <= MAX_TABLE_LOG && places[step] === NONE) step++;
    cost -= 1 << (step - 1);
    const place = places[step]!;
    if (places[step - 1] === NONE) places[step - 1] = place;
    bits[place]!++;
    places[step] = place > 0 && bits[place - 1] === limit - step ? place - 1 : NONE;
  }
  for (; cost < 0; cost++) {
    if (places[1] === NONE) {
      while (bits[n] === limit) n--;
      bits[n + 1]!--;
      places[1] = n + 1;
    } else {
      bits[places[1]! + 1]!--;
      places[1]!++;
    }
  }
  return limit;
}
