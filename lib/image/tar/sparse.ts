import type { Buffer } from 'node:buffer';
import type { Limits } from '../../limits.ts';
import type { SparseRun } from './entry.ts';
import { BLOCK_SIZE, parseNumber, refuse, refuseLimit, type Place } from './header.ts';
import { parseDecimal, type PaxRecords } from './pax.ts';

/** A file whose sparse map is read. */
export interface SparseSource {
  /** The entry's header block. */
  readonly block: Buffer;
  /** Stored bytes, an embedded map included. */
  readonly bodySize: number;
  /** Reads the next block after the header. */
  readonly nextBlock: () => Promise<Buffer>;
  readonly limits: Limits;
  readonly place: Place;
}

/** A sparse map as stored. */
export interface SparseMap {
  /** Unchecked offsets and sizes: offset, size, offset, size … */
  readonly numbers: readonly number[];
  /** Size of the expanded file in bytes. */
  readonly size: number;
  /** Bytes of the body that the map takes. */
  readonly mapSize: number;
}

const OLD_RUN_SIZE = 24;
const OLD_RUNS_IN_HEADER = 4;
const OLD_RUNS_IN_EXTENSION = 21;
const MAX_DIGITS = 16;

/**
 * Reads a map in GNU's old format (type flag `S`): four runs and the expanded size in the header, 21 runs in each
 * following extension block. See "Extended GNU tar headers" in GNU tar's manual.
 */
export async function readOldSparseMap(source: SparseSource): Promise<SparseMap> {
  const { block, nextBlock, limits, place } = source;
  const size = parseNumber(block, 483, 12, 'expanded size', place);
  if (size < 0) refuse(place, 'sparse tar entry has a negative size', { found: size });
  const numbers = oldRuns(block, 386, OLD_RUNS_IN_HEADER, place);
  let extended = block[482] !== 0;
  for (let read = BLOCK_SIZE; extended; read += BLOCK_SIZE) {
    checkMapSize(read, limits, place);
    const extension = await nextBlock();
    numbers.push(...oldRuns(extension, 0, OLD_RUNS_IN_EXTENSION, place));
    extended = extension[504] !== 0;
  }
  return { numbers, size, mapSize: 0 };
}

function oldRuns(block: Buffer, at: number, count: number, place: Place): number[] {
  const numbers: number[] = [];
  for (const end = at + count * OLD_RUN_SIZE; at < end && block[at] !== 0; at += OLD_RUN_SIZE) {
    numbers.push(parseNumber(block, at, 12, 'sparse offset', place));
    numbers.push(parseNumber(block, at + 12, 12, 'sparse size', place));
  }
  return numbers;
}

/** The GNU pax sparse format of the records, if any. */
export function paxSparseFormat({ values, sparseNumbers }: PaxRecords): '0.x' | '1.0' | undefined {
  const major = values.get('GNU.sparse.major') ?? '0';
  if (major === '1' && values.get('GNU.sparse.minor') === '0') return '1.0';
  const hasMap = sparseNumbers.length > 0 || Boolean(values.get('GNU.sparse.map'));
  return major === '0' && hasMap ? '0.x' : undefined;
}

/**
 * Reads a map in GNU's pax formats: 0.0 and 0.1 store it in the records, 1.0 before the content. See "Storing Sparse
 * Files" in GNU tar's manual.
 */
export async function readPaxSparseMap(pax: PaxRecords, source: SparseSource): Promise<SparseMap> {
  const { values } = pax;
  const { bodySize, place } = source;
  const size = values.get('GNU.sparse.size') ?? values.get('GNU.sparse.realsize');
  const map =
    paxSparseFormat(pax) === '1.0'
      ? await readEmbeddedMap(source)
      : { numbers: recordedNumbers(pax, place), mapSize: 0 };
  return { ...map, size: size ? parseDecimal(size, 'expanded size', place) : bodySize - map.mapSize };
}

function recordedNumbers({ values, sparseNumbers }: PaxRecords, place: Place): number[] {
  const texts = values.get('GNU.sparse.map')?.split(',') ?? sparseNumbers;
  return texts.map((text) => parseDecimal(text, 'sparse map', place));
}

/** Reads lines of decimal digits, the number of runs first, padded to whole blocks. */
async function readEmbeddedMap(source: SparseSource): Promise<Pick<SparseMap, 'numbers' | 'mapSize'>> {
  const { bodySize, nextBlock, limits, place } = source;
  const numbers: number[] = [];
  let expected = Infinity;
  let partial = '';
  let mapSize = 0;
  while (numbers.length < expected) {
    mapSize += BLOCK_SIZE;
    if (mapSize > bodySize) refuse(place, 'sparse map is longer than the content');
    checkMapSize(mapSize, limits, place);
    const lines = (partial + (await nextBlock()).toString('latin1')).split('\n');
    partial = lines.pop()!;
    for (const line of lines) {
      if (numbers.length === expected) break;
      const number = parseDecimal(line, 'sparse map', place);
      if (expected === Infinity) expected = 2 * number;
      else numbers.push(number);
    }
    if (numbers.length < expected && partial.length > MAX_DIGITS) refuse(place, 'malformed sparse map');
  }
  return { numbers, mapSize };
}

/** Checks that runs ascend, lie in the expanded file, and have the size of the stored content together. */
export function checkedRuns(map: SparseMap, bodySize: number, place: Place): SparseRun[] {
  const { numbers, size } = map;
  if (numbers.length % 2 !== 0) refuse(place, 'sparse map ends in the middle of a run');
  const runs: SparseRun[] = [];
  let end = 0;
  let stored = 0;
  for (let i = 0; i < numbers.length; i += 2) {
    const run = { offset: numbers[i]!, size: numbers[i + 1]! };
    if (run.offset < end || run.size < 0) {
      refuse(place, 'sparse map runs backwards', { expected: end, found: run.offset });
    }
    end = run.offset + run.size;
    stored += run.size;
    if (end > size) refuse(place, 'sparse map passes the end of the file', { expected: size, found: end });
    if (run.size > 0) runs.push(run);
  }
  if (stored !== bodySize) {
    refuse(place, 'sparse map is not as long as the content', { expected: bodySize, found: stored });
  }
  return runs;
}

function checkMapSize(size: number, limits: Limits, place: Place): void {
  if (size > limits.maxHeaderSize) {
    refuseLimit(place, 'sparse map is over maxHeaderSize', limits.maxHeaderSize, size);
  }
}
