import { reversedCode } from '../bits.ts';

/** Huffman codes like those of zlib and gzip (trees.c): built by a heap; codes that are too long are shortened. */

export interface ZlibTree {
  readonly codes: Int32Array;
  /** The last symbol with a code. */
  maxCode: number;
}

const MAX_SYMBOLS = 286;
const HEAP_SIZE = 2 * MAX_SYMBOLS + 1;
const MAX_BITS = 15;

const heap = new Int32Array(HEAP_SIZE);
const depth = new Int32Array(HEAP_SIZE);
const dad = new Int32Array(HEAP_SIZE);
const weight = new Int32Array(HEAP_SIZE);
const lengths = new Int32Array(HEAP_SIZE);
const lengthCounts = new Int32Array(MAX_BITS + 1);

/** Whether `n` precedes `m` in the heap. */
function isSmaller(n: number, m: number): boolean {
  return weight[n]! < weight[m]! || (weight[n] === weight[m] && depth[n]! <= depth[m]!);
}

function sink(from: number, size: number): void {
  const node = heap[from]!;
  let k = from;
  for (let child = 2 * k; child <= size; child = 2 * k) {
    if (child < size && isSmaller(heap[child + 1]!, heap[child]!)) child++;
    if (isSmaller(node, heap[child]!)) break;
    heap[k] = heap[child]!;
    k = child;
  }
  heap[k] = node;
}

/** Assigns codes to the symbols that occur, and to others if these are fewer than two. */
export function buildTree(frequencies: Int32Array, maxBits: number, tree: ZlibTree): void {
  const count = tree.codes.length;
  let size = 0;
  let top = HEAP_SIZE;
  let maxCode = -1;
  for (let n = 0; n < count; n++) {
    weight[n] = frequencies[n]!;
    depth[n] = 0;
    lengths[n] = 0;
    if (weight[n] === 0) continue;
    heap[++size] = n;
    maxCode = n;
  }
  while (size < 2) {
    const node = maxCode < 2 ? ++maxCode : 0;
    heap[++size] = node;
    weight[node] = 1;
  }
  tree.maxCode = maxCode;
  for (let n = size >> 1; n >= 1; n--) sink(n, size);
  let node = count;
  do {
    const n = heap[1]!;
    heap[1] = heap[size--]!;
    sink(1, size);
    const m = heap[1];
    heap[--top] = n;
    heap[--top] = m;
    weight[node] = weight[n]! + weight[m]!;
    depth[node] = Math.max(depth[n]!, depth[m]!) + 1;
    dad[n] = node;
    dad[m] = node;
    heap[1] = node++;
    sink(1, size);
  } while (size >= 2);
  heap[--top] = heap[1]!;
  limitLengths(top, count, maxBits);
  assignCodes(count, maxBits, tree.codes);
}

/** Sets the lengths of all nodes in `heap` from the root at `top` on, at most `maxBits`. */
function limitLengths(top: number, count: number, maxBits: number): void {
  lengthCounts.fill(0);
  lengths[heap[top]!] = 0;
  let overflow = 0;
  for (let h = top + 1; h < HEAP_SIZE; h++) {
    const n = heap[h]!;
    let length = lengths[dad[n]!]! + 1;
    if (length > maxBits) {
      length = maxBits;
      overflow++;
    }
    lengths[n] = length;
    if (n < count) lengthCounts[length]!++;
  }
  if (overflow === 0) return;
  do {
    let length = maxBits - 1;
    while (lengthCounts[length] === 0) length--;
    lengthCounts[length]!--;
    lengthCounts[length + 1]! += 2;
    lengthCounts[maxBits]!--;
    overflow -= 2;
  } while (overflow > 0);
  for (let length = maxBits, h = HEAP_SIZE; length > 0; length--) {
    for (let left = lengthCounts[length]!; left > 0;) {
      const n = heap[--h]!;
      if (n >= count) continue;
      lengths[n] = length;
      left--;
    }
  }
}

function assignCodes(count: number, maxBits: number, codes: Int32Array): void {
  const next = new Int32Array(maxBits + 2);
  for (let length = 1, code = 0; length <= maxBits; length++) {
    code = (code + lengthCounts[length - 1]!) << 1;
    next[length] = code;
  }
  for (let n = 0; n < count; n++) {
    const length = lengths[n]!;
    codes[n] = length === 0 ? 0 : reversedCode(next[length]!++, length);
  }
}
