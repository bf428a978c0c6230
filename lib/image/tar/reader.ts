import type { Buffer } from 'node:buffer';
import type { Limits } from '../../limits.ts';
import type { ByteString, EntryType, TarEntry } from './entry.ts';
import {
  BLOCK_SIZE,
  checkedId,
  isZeroBlock,
  paddedSize,
  parseHeader,
  refuse,
  refuseLimit,
  type Header,
  type Place,
} from './header.ts';
import { parseDecimal, parsePax, parseTime, xattrsOf, type PaxRecords } from './pax.ts';
import {
  checkedRuns,
  paxSparseFormat,
  readOldSparseMap,
  readPaxSparseMap,
  type SparseMap,
  type SparseSource,
} from './sparse.ts';

/**
 * A tar reader beside tar-stream, which this project uses for writing: container images need offsets of entries, sparse
 * files, paths as bytes, limits for hostile input, and the leniency of Go's archive/tar.
 */

/** The bytes of a tar, read forwards. */
export interface TarInput {
  /** Offset of the next byte. */
  position(): number;
  /** The next `size` bytes, or fewer at the end of the input. Valid until the next call. */
  take(size: number): Buffer | Promise<Buffer>;
}

export interface ScanOptions {
  readonly limits: Limits;
  /** Names the tar in errors. */
  readonly where: string;
}

/** The extension headers before an entry. */
interface Extensions {
  pax: PaxRecords;
  longPath?: ByteString;
  longLinkPath?: ByteString;
}

const TYPES: ReadonlyMap<string, EntryType> = new Map([
  ['\0', 'file'],
  ['0', 'file'],
  ['1', 'hardlink'],
  ['2', 'symlink'],
  ['3', 'char'],
  ['4', 'block'],
  ['5', 'directory'],
  ['6', 'fifo'],
  ['7', 'file'],
  ['S', 'file'],
]);

const EXTENSION_FLAGS = 'xgLK';
/**
 * In bytes per entry. Real images have some 80, but a few compressed kilobytes can expand to gigabytes of long names.
 */
const MAX_MEAN_METADATA = 256;
const NO_PAX: PaxRecords = { values: new Map(), sparseNumbers: [] };

/**
 * Creates a function that reads the next entry of a tar. Between two calls the caller moves the input to the entry's
 * `end`. Follows Go's archive/tar, and so container engines: pax records override the header, GNU long names override
 * both, global pax headers are checked but not applied, only files have content, and the tar ends at two zero blocks
 * or at the end of the input.
 */
export function createEntryReader(
  input: TarInput,
  options: ScanOptions,
): () => Promise<TarEntry | undefined> {
  const { limits, where } = options;
  const budget = metadataBudget(limits);
  let entries = 0;
  let expanded = 0;
  let metadata = 0;

  return async () => {
    const place: Place = { where, offset: input.position(), path: '' };
    let block = await input.take(BLOCK_SIZE);
    if (await isEnd(block, input, place)) return undefined;
    if (++entries > limits.maxEntries) {
      refuseLimit(place, 'tar has more than maxEntries entries', limits.maxEntries, entries);
    }

    const extensions: Extensions = { pax: NO_PAX };
    let header = parseHeader(block, place);
    for (let read = 0; EXTENSION_FLAGS.includes(header.flag); header = parseHeader(block, place)) {
      read += Math.max(header.size, BLOCK_SIZE);
      if (read > limits.maxHeaderSize) {
        refuseLimit(place, 'tar extension headers are over maxHeaderSize', limits.maxHeaderSize, read);
      }
      const body = await takeAll(input, paddedSize(header.size), place);
      applyExtension(extensions, header.flag, body.subarray(0, header.size), place);
      block = await takeAll(input, BLOCK_SIZE, place);
    }

    const entry = await readEntry(header, block, extensions, input, limits, place);
    expanded += entry.size;
    if (expanded > limits.maxImageSize) {
      refuseLimit(place, 'tar expands to more than maxImageSize', limits.maxImageSize, expanded);
    }
    metadata += metadataSize(entry);
    if (metadata > budget) refuseLimit(place, 'tar has too much metadata for maxEntries', budget, metadata);
    return entry;
  };
}

/**
 * Limit in bytes for the names, xattrs and sparse maps of all entries of an image together, which are kept in memory.
 */
export function metadataBudget(limits: Limits): number {
  return limits.maxEntries * MAX_MEAN_METADATA;
}

/** The part of `metadataBudget` that an entry takes, in bytes. */
export function metadataSize({ path, linkPath, xattrs, sparse = [] }: TarEntry): number {
  let size = path.length + linkPath.length + 16 * sparse.length;
  for (const [name, value] of xattrs) size += name.length + value.length;
  return size;
}

/** Two zero blocks end a tar. A single one ends it only at the end of the input. */
async function isEnd(block: Buffer, input: TarInput, place: Place): Promise<boolean> {
  if (block.length === 0) return true;
  if (block.length < BLOCK_SIZE) refuseTruncated(place, BLOCK_SIZE, block.length);
  if (!isZeroBlock(block)) return false;
  const second = await input.take(BLOCK_SIZE);
  if (second.length === 0) return true;
  if (second.length < BLOCK_SIZE) refuseTruncated(place, BLOCK_SIZE, second.length);
  if (!isZeroBlock(second)) refuse(place, 'tar has a zero block between entries');
  return true;
}

function applyExtension(extensions: Extensions, flag: string, body: Buffer, place: Place): void {
  if (flag === 'L') extensions.longPath = longName(body);
  else if (flag === 'K') extensions.longLinkPath = longName(body);
  else if (flag === 'x') extensions.pax = parsePax(body, place);
  else parsePax(body, place);
}

/** GNU terminates the name by a NUL. */
function longName(body: Buffer): ByteString {
  let end = body.length;
  while (end > 0 && body[end - 1] === 0) end--;
  return body.toString('latin1', 0, end);
}

async function readEntry(
  header: Header,
  block: Buffer,
  extensions: Extensions,
  input: TarInput,
  limits: Limits,
  place: Place,
): Promise<TarEntry> {
  const { pax, longPath, longLinkPath } = extensions;
  // an empty value removes a record, and the header's field counts
  const value = (keyword: string) => pax.values.get(keyword) || undefined;
  const number = (keyword: 'uid' | 'gid' | 'size') => {
    const digits = value(keyword);
    return digits ? parseDecimal(digits, keyword, place) : header[keyword];
  };
  const mtime = value('mtime');
  const path = value('GNU.sparse.name') ?? longPath ?? value('path') ?? header.path;
  place.path = path;
  const type = typeOf(header.flag, path, place);
  const isLink = type === 'hardlink' || type === 'symlink';
  const linkPath = isLink ? (longLinkPath ?? value('linkpath') ?? header.linkPath) : '';
  checkName(path, limits, place);
  checkName(linkPath, limits, place);

  const stored = type === 'file' ? number('size') : 0;
  const nextBlock = () => takeAll(input, BLOCK_SIZE, place);
  const map = await sparseMap(header, type, pax, { block, bodySize: stored, nextBlock, limits, place });
  const bodySize = stored - (map?.mapSize ?? 0);
  const bodyOffset = input.position();
  const end = bodyOffset + paddedSize(bodySize);
  if (!Number.isSafeInteger(end)) refuse(place, 'tar entry ends beyond 2^53', { found: end });
  const entry = {
    offset: place.offset,
    bodyOffset,
    bodySize,
    end,
    path,
    type,
    size: map?.size ?? bodySize,
    linkPath,
    mode: header.mode,
    uid: checkedId(number('uid'), 'uid', place),
    gid: checkedId(number('gid'), 'gid', place),
    mtime: mtime ? parseTime(mtime, place) : header.mtime,
    devMajor: header.devMajor,
    devMinor: header.devMinor,
    xattrs: xattrsOf(pax),
  };
  return map ? { ...entry, sparse: checkedRuns(map, bodySize, place) } : entry;
}

function typeOf(flag: string, path: ByteString, place: Place): EntryType {
  const type = TYPES.get(flag);
  if (!type) refuse(place, 'tar entry is of an unknown type', { found: flag });
  // before POSIX.1-1988 a trailing slash marked a directory
  return flag === '\0' && path.endsWith('/') ? 'directory' : type;
}

async function sparseMap(
  header: Header,
  type: EntryType,
  pax: PaxRecords,
  source: SparseSource,
): Promise<SparseMap | undefined> {
  const { place } = source;
  if (header.flag === 'S') {
    if (header.format !== 'gnu') refuse(place, 'sparse tar entry has no GNU header');
    return readOldSparseMap(source);
  }
  if (!paxSparseFormat(pax)) return undefined;
  if (type !== 'file') refuse(place, 'tar entry has a sparse map but is no file');
  return readPaxSparseMap(pax, source);
}

function checkName(name: ByteString, limits: Limits, place: Place): void {
  if (name.includes('\0')) refuse(place, 'tar entry has a NUL in its name');
  if (name.length > limits.maxPathLength) {
    refuseLimit(place, 'tar entry has a path over maxPathLength', limits.maxPathLength, name.length);
  }
}

async function takeAll(input: TarInput, size: number, place: Place): Promise<Buffer> {
  const bytes = await input.take(size);
  if (bytes.length < size) refuseTruncated(place, size, bytes.length);
  return bytes;
}

/** Throws the error for an input that ends within an entry. */
export function refuseTruncated(place: Place, expected: number, found: number): never {
  refuse(place, 'tar is truncated', { expected: `${expected} bytes`, found });
}
