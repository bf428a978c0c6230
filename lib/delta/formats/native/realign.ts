import type { Alignments } from '../../align/alignment.ts';
import { AlignmentBuilder } from '../../align/alignmentlist.ts';
import { AddressMap, addressTable } from './addressmap.ts';
import type { FilePair } from './batch.ts';
import { free } from '../../../runtime/memory.ts';
import { readElf, SECTION_RELATIVE, type Elf, type Section } from './elf.ts';
import { readerOf } from './group.ts';
import type { Space } from '../../../runtime/space.ts';
import { stretchesOf } from './stretches.ts';

/**
 * Aligns tables of executables by the meaning of their records. The matcher compares bytes: in a table of addresses that all
 * moved, it finds the same bytes in other records.
 */

/** A table of records with the fields that hold addresses. */
interface TableForm {
  /** Bytes before the first record. */
  readonly head: number;
  readonly width: number;
  /** Offsets of addresses in a record. */
  readonly fields: readonly number[];
  /** Offsets of other words that are compared. */
  readonly others: readonly number[];
}

const FRAME_INDEX: TableForm = { head: 12, width: 8, fields: [0, 4], others: [] };
const FORMS: Readonly<Record<string, TableForm>> = {
  '.eh_frame_hdr': FRAME_INDEX,
  '.rela.dyn': { head: 0, width: 24, fields: [0, 16], others: [8, 12] },
  '.rela.plt': { head: 0, width: 24, fields: [0, 16], others: [8, 12] },
  '.dynsym': { head: 0, width: 24, fields: [8], others: [0, 4, 16] },
  '.symtab': { head: 0, width: 24, fields: [8], others: [0, 4, 16] },
  '.init_array': { head: 0, width: 8, fields: [0], others: [] },
  '.fini_array': { head: 0, width: 8, fields: [0], others: [] },
  '.data.rel.ro': { head: 0, width: 8, fields: [0], others: [4] },
};

const MAX_TABLE = 32 * 1024 ** 2;
/** Records that have to be better at another distance before it is taken. */
const AHEAD = 2;
/** Places that one address is looked for at. */
const MAX_PLACES = 8;
const MULTIPLIER = 0x9e3779b1 | 0;

/** @param targetFile offset of the target's file in its layer stream */
export function realigned(
  pair: FilePair,
  operations: Alignments,
  source: Space,
  target: Space,
  targetFile: number,
): AlignmentBuilder | undefined {
  const from = readElf(readerOf(source, pair.source, pair.sourceSize), pair.sourceSize);
  const to = readElf(readerOf(target, targetFile, pair.size), pair.size);
  if (!from || !to) return undefined;
  const map = new AddressMap(addressTable(from, pair.segments, stretchesOf(pair, operations)));
  const draft = new AlignmentBuilder();
  for (const section of to.sections) {
    const form = Object.hasOwn(FORMS, section.name) ? FORMS[section.name]! : undefined;
    const like = form && from.sections.find(({ name }) => name === section.name);
    if (!form || !like) continue;
    if (Math.max(section.end - section.offset, like.end - like.offset) > MAX_TABLE) continue;
    const table = readTable(form, source, pair.source, like, from, map);
    const wanted = readTable(form, target, targetFile, section, to);
    alignTables(wanted, table, (row, found, count) => {
      draft.push(
        pair.target + section.offset + form.head + row * form.width,
        pair.source + like.offset + form.head + found * form.width,
        count * form.width,
        0,
      );
    });
    free(table.words);
    free(wanted.words);
  }
  return draft;
}

/** @param start of the file in the space */
function readTable(
  form: TableForm,
  space: Space,
  start: number,
  section: Section,
  elf: Elf,
  map?: AddressMap,
): Table {
  const bytes = Buffer.alloc(section.end - section.offset);
  space.read(bytes, start + section.offset);
  const table = tableOf(form, section, bytes, elf, map);
  free(bytes);
  return table;
}

/** Words of records, addresses first. */
interface Table {
  readonly count: number;
  readonly words: Int32Array;
  readonly width: number;
}

/** @param map of the source's addresses, where they are the source's */
function tableOf(form: TableForm, section: Section, bytes: Buffer, elf: Elf, map?: AddressMap): Table {
  const { head, width, fields, others } = form;
  const count = Math.max(0, Math.floor((bytes.length - head) / width));
  const size = fields.length + others.length;
  const words = new Int32Array(count * size);
  const base = section.kind === SECTION_RELATIVE ? section.address : 0;
  for (let row = 0; row < count; row++) {
    const at = head + row * width;
    for (const [k, field] of fields.entries()) {
      const address = (bytes.readInt32LE(at + field) + base) | 0;
      const isMapped = map && address >= elf.low && address < elf.high;
      words[row * size + k] = isMapped ? map.map(address) : address;
    }
    for (const [k, field] of others.entries())
      words[row * size + fields.length + k] = bytes.readInt32LE(at + field);
  }
  return { count, words, width: size };
}

/** @param found called for runs of records: the target's first, the source's, and how many */
function alignTables(
  target: Table,
  source: Table,
  found: (row: number, source: number, count: number) => void,
): void {
  const columns = chainsOf(source);
  const places = placesOf(source, columns);
  const { width } = target;
  const score = (row: number, other: number): number => {
    if (row >= target.count || other < 0 || other >= source.count) return 0;
    let equal = 0;
    for (let k = 0; k < width; k++) {
      if (target.words[row * width + k] === source.words[other * width + k]) equal++;
    }
    return equal;
  };
  const ahead = (row: number, other: number): number => {
    let sum = 0;
    for (let i = 0; i <= AHEAD; i++) sum += score(row + i, other + i);
    return sum;
  };
  let begin = 0;
  let distance = 0;
  const close = (row: number) => {
    const low = Math.max(begin, -distance);
    const high = Math.min(row, source.count - distance);
    if (high > low) found(low, low + distance, high - low);
    begin = row;
  };
  for (let row = 0; row < target.count; row++) {
    if (score(row, row + distance) === width) continue;
    let best = distance;
    // another distance costs about as much as two words
    let most = ahead(row, row + distance) + 2;
    for (let k = 0; k < width; k++) {
      for (const other of places(k, target.words[row * width + k]!)) {
        const equal = ahead(row, other);
        if (equal > most) [most, best] = [equal, other - row];
      }
    }
    if (best === distance) continue;
    close(row);
    distance = best;
  }
  close(target.count);
  for (const { heads, nexts } of columns) {
    free(heads);
    free(nexts);
  }
}

/** Rows by a word of theirs, as chains of 1 + row for each slot of a hash table: 8 bytes a row. */
interface Chains {
  readonly heads: Int32Array;
  readonly nexts: Int32Array;
}

function slotOf(word: number, heads: Int32Array): number {
  return Math.imul(word, MULTIPLIER) >>> (Math.clz32(heads.length) + 1);
}

/** Of the first columns. */
function chainsOf({ count, words, width }: Table): Chains[] {
  return Array.from({ length: Math.min(2, width) }, (_, column) => {
    const heads = new Int32Array(2 << (31 - Math.clz32(count | 1)));
    const nexts = new Int32Array(count);
    for (let row = count - 1; row >= 0; row--) {
      const slot = slotOf(words[row * width + column]!, heads);
      nexts[row] = heads[slot]!;
      heads[slot] = row + 1;
    }
    return { heads, nexts };
  });
}

/** The first rows with a word in a column, ascending. */
function placesOf(
  { words, width }: Table,
  columns: readonly Chains[],
): (column: number, word: number) => Iterable<number> {
  return function* (column, word) {
    const chains = columns[column];
    if (!chains) return;
    const { heads, nexts } = chains;
    let found = 0;
    for (let next = heads[slotOf(word, heads)]!; next > 0 && found < MAX_PLACES; next = nexts[next - 1]!) {
      if (words[(next - 1) * width + column] !== word) continue;
      found++;
      yield next - 1;
    }
  };
}
