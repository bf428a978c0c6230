/**
 * Writes small tars for tests: ustar, pax and GNU headers, every kind of sparse file, and, through `edit` and
 * the exported parts, malformed headers.
 */
import { Buffer } from 'node:buffer';
import type { ByteString, EntryType, SparseRun } from '../../lib/image/tar/entry.ts';

export const BLOCK = 512;

export type TarFormat = 'ustar' | 'pax' | 'gnu' | 'v7';
export type SparseFormat = 'gnu' | '0.0' | '0.1' | '1.0';
export type PaxRecord = readonly [key: string, value: ByteString];

export interface TarFixture {
  /** Written unchanged. */
  readonly path: ByteString;
  /** Default: a directory if `path` ends in '/', otherwise a file. */
  readonly type?: EntryType;
  /** The expanded content; a sparse file stores only the bytes in its runs. */
  readonly content?: Uint8Array | string;
  readonly linkPath?: ByteString;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly devMajor?: number;
  readonly devMinor?: number;
  readonly xattrs?: Readonly<Record<string, ByteString>>;
  /** Default pax: a ustar header, with pax records for values that do not fit. */
  readonly format?: TarFormat;
  readonly sparse?: {
    readonly format: SparseFormat;
    readonly runs: readonly SparseRun[];
    readonly size?: number;
    /** Default: the bytes of the content in the runs. */
    readonly stored?: Uint8Array;
  };
  /** Further pax records, written last. */
  readonly records?: readonly PaxRecord[];
  /** Changes the entry's own header before its checksum is computed. */
  readonly edit?: (header: Buffer) => void;
}

export const TYPE_FLAGS: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** The entries and the two zero blocks at the end. */
export function writeTar(entries: readonly TarFixture[]): Buffer {
  return Buffer.concat([...entries.map(writeEntry), Buffer.alloc(2 * BLOCK)]);
}

/** One entry: extension headers, header, content, padding. */
export function writeEntry(entry: TarFixture): Buffer {
  const format = entry.format ?? 'pax';
  const type = entry.type ?? (entry.path.endsWith('/') ? 'directory' : 'file');
  const content = Buffer.from(entry.content ?? '');
  const records: PaxRecord[] = [];
  const before: Buffer[] = [];

  let path = entry.path;
  let prefix = '';
  let body = content;
  let flag = TYPE_FLAGS[type];
  let sparseHeader: ((header: Buffer) => void) | undefined;
  let sparseBlocks = Buffer.alloc(0);
  if (entry.sparse) {
    const { runs, stored } = entry.sparse;
    const size = entry.sparse.size ?? content.length;
    body = Buffer.concat(
      stored ? [stored] : runs.map((run) => content.subarray(run.offset, run.offset + run.size)),
    );
    if (entry.sparse.format === 'gnu') {
      flag = 'S';
      sparseHeader = (header) => writeOldSparseHeader(header, runs, size);
      sparseBlocks = oldSparseExtensions(runs);
    } else {
      records.push(...sparseRecords(entry.sparse.format, path, runs, size));
      if (entry.sparse.format === '1.0') {
        body = Buffer.concat([sparseMap(runs), body]);
        path = 'GNUSparseFile.0/file';
      }
    }
  }
  if (path.length > 100) {
    if (format === 'gnu') before.push(writeSpecial('L', latin1(`${path}\0`)));
    else if (format === 'ustar') [prefix, path] = splitPath(path);
    else records.push(['path', path]);
    path = path.slice(0, 100);
  }
  const linkPath = entry.linkPath ?? '';
  if (linkPath.length > 100) {
    if (format === 'gnu') before.push(writeSpecial('K', latin1(`${linkPath}\0`)));
    else records.push(['linkpath', linkPath]);
  }
  for (const [name, value] of Object.entries(entry.xattrs ?? {}))
    records.push([`SCHILY.xattr.${name}`, value]);
  const mtime = entry.mtime ?? 0;
  if (format === 'pax' && !Number.isInteger(mtime)) records.push(['mtime', String(mtime)]);
  records.push(...(entry.records ?? []));
  if (records.length > 0) before.unshift(writeSpecial('x', paxBody(records)));

  const header = tarHeader({
    path,
    prefix,
    flag,
    linkPath: linkPath.slice(0, 100),
    format,
    size: body.length,
    mode: entry.mode ?? (type === 'directory' ? 0o755 : 0o644),
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    mtime: Math.floor(mtime),
    devMajor: entry.devMajor ?? 0,
    devMinor: entry.devMinor ?? 0,
    edit: (bytes) => {
      sparseHeader?.(bytes);
      entry.edit?.(bytes);
    },
  });
  return Buffer.concat([...before, header, sparseBlocks, padded(body)]);
}

export interface HeaderFields {
  readonly path: ByteString;
  readonly flag: string;
  readonly size: number;
  readonly prefix?: ByteString;
  readonly linkPath?: ByteString;
  readonly format?: TarFormat;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly devMajor?: number;
  readonly devMinor?: number;
  readonly edit?: (header: Buffer) => void;
}

/** One header block with its checksum. */
export function tarHeader(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(fields.path, 0, 100, 'latin1');
  writeNumber(header, 100, 8, fields.mode ?? 0o644);
  writeNumber(header, 108, 8, fields.uid ?? 0);
  writeNumber(header, 116, 8, fields.gid ?? 0);
  writeNumber(header, 124, 12, fields.size);
  writeNumber(header, 136, 12, fields.mtime ?? 0);
  header.write(fields.flag, 156, 1, 'latin1');
  header.write(fields.linkPath ?? '', 157, 100, 'latin1');
  const format = fields.format ?? 'ustar';
  if (format !== 'v7') {
    header.write(format === 'gnu' ? 'ustar  \0' : 'ustar\x0000', 257, 8, 'latin1');
    writeNumber(header, 329, 8, fields.devMajor ?? 0);
    writeNumber(header, 337, 8, fields.devMinor ?? 0);
    header.write(fields.prefix ?? '', 345, 155, 'latin1');
  }
  fields.edit?.(header);
  return withChecksum(header);
}

/** Recomputes the checksum of a changed header. */
export function withChecksum(header: Buffer): Buffer {
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return header;
}

/** A header of type `x`, `g`, `L` or `K` with its body. */
export function writeSpecial(flag: string, body: Uint8Array): Buffer {
  const format = flag === 'L' || flag === 'K' ? 'gnu' : 'ustar';
  const path = format === 'gnu' ? '././@LongLink' : 'PaxHeaders/entry';
  return Buffer.concat([tarHeader({ path, flag, size: body.length, format }), padded(body)]);
}

export function paxBody(records: readonly PaxRecord[]): Buffer {
  return Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
}

/** "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
function paxRecord(key: string, value: ByteString): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return latin1(`${length}${rest}`);
}

/** Octal if it fits, otherwise base-256. */
export function writeNumber(header: Buffer, at: number, width: number, value: number): void {
  const octal = value.toString(8);
  if (value >= 0 && octal.length < width) {
    header.write(`${octal.padStart(width - 1, '0')}\0`, at, width, 'latin1');
    return;
  }
  let rest = BigInt(value);
  for (let i = at + width - 1; i >= at; i--, rest >>= 8n) header[i] = Number(rest & 0xffn);
  header[at]! |= 0x80;
}

/** For `edit`: writes a number into a header field. */
export function setNumber(at: number, width: number, value: number): (header: Buffer) => void {
  return (header) => writeNumber(header, at, width, value);
}

/** For `edit`: writes bytes into a header. */
export function setText(at: number, text: ByteString): (header: Buffer) => void {
  return (header) => void header.write(text, at, 'latin1');
}

/** Zero bytes up to the next block. */
export function padded(body: Uint8Array): Buffer {
  return Buffer.concat([body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)]);
}

export function latin1(text: ByteString): Buffer {
  return Buffer.from(text, 'latin1');
}

function splitPath(path: ByteString): [prefix: ByteString, name: ByteString] {
  const slash = path.slice(0, -1).lastIndexOf('/', 155);
  return slash > 0 ? [path.slice(0, slash), path.slice(slash + 1)] : ['', path];
}

function sparseRecords(format: SparseFormat, path: ByteString, runs: readonly SparseRun[], size: number) {
  const records: PaxRecord[] = [];
  if (format === '1.0') {
    records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0']);
    records.push(['GNU.sparse.name', path], ['GNU.sparse.realsize', String(size)]);
    return records;
  }
  records.push(['GNU.sparse.size', String(size)], ['GNU.sparse.numblocks', String(runs.length)]);
  if (format === '0.1') {
    records.push(['GNU.sparse.map', runs.map((run) => `${run.offset},${run.size}`).join(',')]);
  } else {
    for (const run of runs) {
      records.push(['GNU.sparse.offset', String(run.offset)], ['GNU.sparse.numbytes', String(run.size)]);
    }
  }
  return records;
}

function sparseMap(runs: readonly SparseRun[]): Buffer {
  return padded(latin1(`${runs.length}\n${runs.map((run) => `${run.offset}\n${run.size}\n`).join('')}`));
}

const OLD_SPARSE_IN_HEADER = 4;
const OLD_SPARSE_IN_EXTENSION = 21;

function writeOldSparseHeader(header: Buffer, runs: readonly SparseRun[], size: number): void {
  writeRuns(header, 386, runs.slice(0, OLD_SPARSE_IN_HEADER));
  header[482] = runs.length > OLD_SPARSE_IN_HEADER ? 1 : 0;
  writeNumber(header, 483, 12, size);
}

function oldSparseExtensions(runs: readonly SparseRun[]): Buffer<ArrayBuffer> {
  const blocks: Buffer[] = [];
  for (let at = OLD_SPARSE_IN_HEADER; at < runs.length; at += OLD_SPARSE_IN_EXTENSION) {
    const block = Buffer.alloc(BLOCK);
    writeRuns(block, 0, runs.slice(at, at + OLD_SPARSE_IN_EXTENSION));
    block[504] = at + OLD_SPARSE_IN_EXTENSION < runs.length ? 1 : 0;
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

function writeRuns(block: Buffer, at: number, runs: readonly SparseRun[]): void {
  for (const [i, run] of runs.entries()) {
    writeNumber(block, at + 24 * i, 12, run.offset);
    writeNumber(block, at + 24 * i + 12, 12, run.size);
  }
}
