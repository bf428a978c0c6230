import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { PanamaxError } from '../errors.ts';
import { checkDocumentSize } from '../json.ts';
import type { Limits } from '../limits.ts';
import { checkExpansion } from './expansion.ts';
import { compressionOf, HEAD_SIZE } from './magic.ts';
import type { TarEntry } from './tar/entry.ts';
import { scanTarFile } from './tar/file.ts';

/** Random access by name to the files of a tar on disk. */
export interface Archive {
  readonly path: string;
  has(name: string): boolean;
  /** Size of a regular file in bytes; links are followed. @throws PanamaxError `not-found` */
  size(name: string): number;
  /** Stored size of a regular file: without the holes of a sparse one. */
  storedSize(name: string): number;
  open(name: string): AsyncIterable<Uint8Array>;
  /** @throws PanamaxError `not-found`; `limit` over `maxDocumentSize` */
  readDocument(name: string): Promise<Buffer>;
}

/** Content of a file: `sparse` as in `TarEntry`. */
type Stored = Pick<TarEntry, 'bodyOffset' | 'bodySize' | 'size' | 'sparse'>;
/** A file, or the target of a link from the root of the archive. */
type Node = { readonly file: Stored } | { readonly target: readonly string[] };

const MAX_LINK_HOPS = 40;
const READ_SIZE = 256 * 1024;
const ZEROS = Buffer.alloc(64 * 1024);

/** Reads the headers of the tar once. @throws PanamaxError as `scanTarFile` does */
export async function openArchive(path: string, limits: Limits): Promise<Archive> {
  const { size: end } = await stat(path);
  await refuseCompressed(path);
  const nodes = new Map<string, Node>();
  for await (const entry of scanTarFile({ path, start: 0, end }, { limits, where: path })) {
    const names = normalized(entry.path.split('/'));
    const node = linkedFile(entry) ?? nodeOf(entry, names);
    // as in a directory, the last entry of a name counts
    if (node) nodes.set(names.join('/'), node);
    else nodes.delete(names.join('/'));
  }

  /** The file that a hardlink shares. It stays if an entry of its old name follows. */
  function linkedFile({ type, linkPath }: TarEntry): Node | undefined {
    const node = type === 'hardlink' ? nodes.get(normalized(linkPath.split('/')).join('/')) : undefined;
    return node && 'file' in node ? node : undefined;
  }

  /** Follows links, also those of directories on the way. */
  function find(name: string): Stored | undefined {
    let names: readonly string[] = normalized(Buffer.from(name).toString('latin1').split('/'));
    for (let hops = 0; hops < MAX_LINK_HOPS; hops++) {
      const next = resolve(names);
      if (!Array.isArray(next)) return next as Stored | undefined;
      names = next as readonly string[];
    }
    throw new PanamaxError('bad-input', 'links form a loop', { found: name, where: path });
  }

  /** The file of a path, the path after its first link, or undefined. */
  function resolve(names: readonly string[]): Stored | readonly string[] | undefined {
    for (let length = 1; length <= names.length; length++) {
      const node = nodes.get(names.slice(0, length).join('/'));
      if (!node) continue;
      if ('target' in node) return normalized([...node.target, ...names.slice(length)]);
      return length === names.length ? node.file : undefined;
    }
    return undefined;
  }

  function get(name: string): Stored {
    const file = find(name);
    if (file) return file;
    throw new PanamaxError('not-found', 'archive lacks a file', { expected: name, where: path });
  }

  return {
    path,
    has: (name) => find(name) !== undefined,
    size: (name) => get(name).size,
    storedSize: (name) => get(name).bodySize,
    open(name) {
      const file = get(name);
      checkExpansion(file.size, { limits, size: file.bodySize }, `${path} ${name}`);
      return readStored(path, file);
    },
    async readDocument(name) {
      const file = get(name);
      checkDocumentSize(file.size, limits, `${path} ${name}`);
      const pieces: Uint8Array[] = [];
      for await (const piece of readStored(path, file)) pieces.push(piece);
      return Buffer.concat(pieces);
    },
  };
}

function nodeOf(entry: TarEntry, names: readonly string[]): Node | undefined {
  const { type, linkPath, bodyOffset, bodySize, size, sparse } = entry;
  if (type === 'file') return { file: { bodyOffset, bodySize, size, ...(sparse && { sparse }) } };
  if (type === 'hardlink') return { target: normalized(linkPath.split('/')) };
  if (type !== 'symlink') return undefined;
  // docker save writes the second copy of a layer as a symlink relative to the link's directory
  return {
    target: linkPath.startsWith('/') ? linkPath.split('/') : [...names.slice(0, -1), ...linkPath.split('/')],
  };
}

/** Components of a path from the root; '..' of the root is the root. */
function normalized(names: readonly string[]): string[] {
  const found: string[] = [];
  for (const name of names) {
    if (name === '..') found.pop();
    else if (name !== '' && name !== '.') found.push(name);
  }
  return found;
}

/** The content of a file; holes of a sparse one are zeros. */
async function* readStored(
  path: string,
  { bodyOffset, bodySize, size, sparse = [{ offset: 0, size: bodySize }] }: Stored,
): AsyncGenerator<Uint8Array, void, void> {
  let at = 0;
  let stored = bodyOffset;
  for (const run of [...sparse, { offset: size, size: 0 }]) {
    for (; at < run.offset; at = Math.min(run.offset, at + ZEROS.length)) {
      yield ZEROS.subarray(0, Math.min(ZEROS.length, run.offset - at));
    }
    if (run.size === 0) continue;
    yield* createReadStream(path, {
      start: stored,
      end: stored + run.size - 1,
      highWaterMark: READ_SIZE,
    }) as AsyncIterable<Buffer>;
    stored += run.size;
    at = run.offset + run.size;
  }
}

/** Random access needs a plain tar. */
async function refuseCompressed(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_SIZE), 0, HEAD_SIZE, 0);
    const compression = compressionOf(buffer.subarray(0, bytesRead));
    if (compression === 'none') return;
    throw new PanamaxError('bad-input', 'archive is compressed; decompress it first', {
      expected: 'a plain tar',
      found: compression,
      where: path,
    });
  } finally {
    await file.close();
  }
}
