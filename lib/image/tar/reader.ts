import type { Buffer } from 'node:buffer';
import type { Limits } from '../../limits.ts';
import type { ByteString, EntryType, TarEntry } from './entry.ts';
import {
  BLOCK_SIZE,
  isZeroBlock,
  paddedSize,
  parseHeader,
  refuse,
  refuseLimit,
  type Header,
  type Place,
} from './header.ts';
import { parseDecimal, parseId, parsePax, parseTime, xattrsOf, type PaxRecords } from './pax.ts';
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
  readonly pax: PaxRecords;
  readonly longPath?: ByteString;
  readonly longLinkPath?: ByteString;
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
 * both, global pax headers are checked but not applied and end the effect of extension headers before them, only files
 * have content, and the tar ends at two zero blocks or at the end of the input. The last content may lack its padding,
 * and extension headers may have no entry after them.
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

    let extensions: Extensions = { pax: NO_PAX };
    let header = parseHeader(block, place);
    for (let read = 0; EXTENSION_FLAGS.includes(header.flag); header = parseHeader(block, place)) {
      read += Math.max(header.size, BLOCK_SIZE);
      if (read > limits.maxHeaderSize) {
        refuseLimit(place, 'tar extension headers are over maxHeaderSize', limits.maxHeaderSize, read);
      }
      const body = await takeBody(input, header.size, place);
      extensions = extended(extensions, header.flag, body, place);
      block = await input.take(BLOCK_SIZE);
      if (await isEnd(block, input, place)) return undefined;
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
export function metadataSize({
  path,
  linkPath,
  xattrs,
  sparse = [],
}: Pick<TarEntry, 'path' | 'linkPath' | 'xattrs' | 'sparse'>): number {
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

function extended(extensions: Extensions, flag: string, body: Buffer, place: Place): Extensions {
  if (flag === 'L') return { ...extensions, longPath: longName(body) };
  if (flag === 'K') return { ...extensions, longLinkPath: longName(body) };
  const pax = parsePax(body, place);
  return flag === 'x' ? { ...extensions, pax } : { pax: NO_PAX };
}

/** GNU ends the name by a NUL. Bytes after the first one do not count. */
function longName(body: Buffer): ByteString {
  const nul = body.indexOf(0);
  return body.toString('latin1', 0, nul < 0 ? body.length : nul);
}

/** Reads the body of an extension header and its padding, which may be missing at the end of the input. */
async function takeBody(input: TarInput, size: number, place: Place): Promise<Buffer> {
  const body = await input.take(paddedSize(size));
  if (body.length < size) refuseTruncated(place, size, body.length);
  return body.subarray(0, size);
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
  const id = (keyword: 'uid' | 'gid') => {
    const digits = value(keyword);
    return digits ? parseId(digits, keyword, place) : header[keyword];
  };
  const size = value('size');
  const mtime = value('mtime');
  const sparseName = paxSparseFormat(pax) ? value('GNU.sparse.name') : undefined;
  // an empty GNU name does not count
  const path = sparseName ?? (longPath || value('path')) ?? header.path;
  place.path = path;
  const type = typeOf(header.flag, path, place);
  const isLink = type === 'hardlink' || type === 'symlink';
  const linkPath = isLink ? ((longLinkPath || value('linkpath')) ?? header.linkPath) : '';
  checkName(path, limits, place);
  checkName(linkPath, limits, place);

  const stored = type !== 'file' ? 0 : size ? parseDecimal(size, 'size', place) : header.size;
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
    uid: id('uid'),
    gid: id('gid'),
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
