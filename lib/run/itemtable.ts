import type { Counts } from './report.ts';
import type { Status } from './stage.ts';

/**
 * Items of a stage with their states, for runs of millions of items: about 30 bytes each. Rows are numbered in the order
 * in which items were added.
 */
export interface ItemTable {
  readonly size: number;
  /** @returns the row of the item, which is added unless it is there */
  add(item: string): number;
  /** @returns the row; undefined for an item that is not in the table */
  find(item: string): number | undefined;
  itemAt(row: number): string;
  /** Undefined as long as the item is not over. */
  statusAt(row: number): Status | undefined;
  /**
   * Sets the statuses of all items from a list of outcomes. A success takes precedence over a failure; items that are not
   * in the table are ignored.
   *
   * @returns whether an item that was over is not any more, or has succeeded after a failure
   */
  setStatuses(outcomes: AsyncIterable<readonly [item: string, status: Status]>): Promise<boolean>;
  counts(): Counts;
  /** Rows in their order. */
  rowsWhere(is: (row: number, status: Status | undefined) => boolean): number[];
  /** Bytes of memory. */
  readonly bytes: number;
}

const ITEM = /^[0-9a-f]{32}$/;
/** 32-bit words of an item. */
const WORDS = 4;
const DIGITS = 8;
/** Rows over slots at most: of 4 slots 3 are taken. */
const LOAD = 3 / 4;
const FIRST_SIZE = 1024;
const STATUSES = [undefined, 'done', 'skipped', 'failed'] as const;
const FAILED = STATUSES.indexOf('failed');

export function createItemTable(): ItemTable {
  let words = new Uint32Array(FIRST_SIZE * WORDS);
  let statuses = new Uint8Array(FIRST_SIZE);
  /** Row and 1 by hash, by linear probing; 0 is free. */
  let slots = new Uint32Array(2 * FIRST_SIZE);
  let size = 0;
  const wanted = new Uint32Array(WORDS);

  function parse(item: string): boolean {
    if (!ITEM.test(item)) return false;
    for (let i = 0; i < WORDS; i++) wanted[i] = Number.parseInt(item.slice(i * DIGITS, (i + 1) * DIGITS), 16);
    return true;
  }

  /** The slot of the wanted item, or the free one where it belongs. */
  function slotOfWanted(): number {
    const mask = slots.length - 1;
    // the last word: items of pairs begin with digits of their source
    for (let slot = wanted[WORDS - 1]! & mask; ; slot = (slot + 1) & mask) {
      const at = (slots[slot]! - 1) * WORDS;
      if (at < 0 || wanted.every((word, i) => words[at + i] === word)) return slot;
    }
  }

  function grow(): void {
    const [oldWords, oldStatuses] = [words, statuses];
    words = new Uint32Array(2 * oldWords.length);
    words.set(oldWords);
    statuses = new Uint8Array(2 * oldStatuses.length);
    statuses.set(oldStatuses);
  }

  function spread(): void {
    slots = new Uint32Array(2 * slots.length);
    for (let row = 0; row < size; row++) {
      wanted.set(words.subarray(row * WORDS, (row + 1) * WORDS));
      slots[slotOfWanted()] = row + 1;
    }
  }

  function find(item: string): number | undefined {
    const row = parse(item) ? slots[slotOfWanted()]! - 1 : -1;
    return row < 0 ? undefined : row;
  }

  const statusAt = (row: number) => STATUSES[statuses[row]!];

  return {
    get size() {
      return size;
    },
    add(item) {
      if (!parse(item)) throw new RangeError(`not an item: ${item}`);
      const slot = slotOfWanted();
      if (slots[slot]! > 0) return slots[slot]! - 1;
      if (size === statuses.length) grow();
      words.set(wanted, size * WORDS);
      slots[slot] = ++size;
      if (size > slots.length * LOAD) spread();
      return size - 1;
    },
    find,
    itemAt: (row) =>
      Array.from(words.subarray(row * WORDS, (row + 1) * WORDS), (word) =>
        word.toString(16).padStart(DIGITS, '0'),
      ).join(''),
    statusAt,
    async setStatuses(outcomes) {
      const found = new Uint8Array(statuses.length);
      for await (const [item, status] of outcomes) {
        const row = find(item);
        if (row !== undefined && (status !== 'failed' || found[row] === 0))
          found[row] = STATUSES.indexOf(status);
      }
      let isAgain = false;
      for (let row = 0; row < size; row++) {
        const before = statuses[row]!;
        if (before !== found[row]) isAgain ||= before === FAILED || (before > 0 && found[row] === 0);
      }
      statuses = found;
      return isAgain;
    },
    counts() {
      const counts = [0, 0, 0, 0];
      for (let row = 0; row < size; row++) counts[statuses[row]!]!++;
      const [, done = 0, skipped = 0, failed = 0] = counts;
      return { total: size, done, skipped, failed };
    },
    rowsWhere(is) {
      const rows: number[] = [];
      for (let row = 0; row < size; row++) if (is(row, statusAt(row))) rows.push(row);
      return rows;
    },
    get bytes() {
      return words.byteLength + statuses.byteLength + slots.byteLength;
    },
  };
}
