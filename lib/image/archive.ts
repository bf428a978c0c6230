import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { PanamaxError } from '../errors.ts';
import { checkDocumentSize } from '../json.ts';
import type { Limits } from '../limits.ts';
import { scanTarFile } from './tar/file.ts';

/** Random access by name to the files of a tar on disk. */
export interface Archive {
  readonly path: string;
  has(name: string): boolean;
  /** Size of a regular file in bytes; links are followed. @throws PanamaxError `not-found` */
  size(name: string): number;
  open(name: string): AsyncIterable<Uint8Array>;
  /** @throws PanamaxError `not-found`; `limit` over `maxDocumentSize` */
  readDocument(name: string): Promise<Buffer>;
}

interface Stored {
  readonly offset: number;
  readonly size: number;
}

const MAX_LINK_HOPS = 16;
const READ_SIZE = 256 * 1024;
/** Magic bytes of gzip, zstd and xz. Random access needs a plain tar. */
const COMPRESSED = /^(1f8b|28b52ffd|fd377a58)/;

/** Reads the headers of the tar once. @throws PanamaxError as `scanTarFile` does */
export async function openArchive(path: string, limits: Limits): Promise<Archive> {
  const { size: end } = await stat(path);
  await refuseCompressed(path);
  const files = new Map<string, Stored>();
  const links = new Map<string, string>();
  for await (const entry of scanTarFile({ path, start: 0, end }, { limits, where: path })) {
    const name = posix.normalize(entry.path);
    if (entry.type === 'file') files.set(name, { offset: entry.bodyOffset, size: entry.bodySize });
    // docker save writes the second copy of a layer as a symlink relative to the link's directory
    else if (entry.type === 'symlink') links.set(name, posix.join(posix.dirname(name), entry.linkPath));
    else if (entry.type === 'hardlink') links.set(name, posix.normalize(entry.linkPath));
  }

  function find(name: string): Stored | undefined {
    let at = posix.normalize(name);
    for (let hops = 0; hops < MAX_LINK_HOPS; hops++) {
      const file = files.get(at);
      if (file) return file;
      const next = links.get(at);
      if (next === undefined) return undefined;
      at = next;
    }
    throw new PanamaxError('bad-input', 'links form a loop', { found: name, where: path });
  }

  function get(name: string): Stored {
    const file = find(name);
    if (file) return file;
    throw new PanamaxError('not-found', 'archive lacks a file', { expected: name, where: path });
  }

  function read({ offset, size }: Stored): AsyncIterable<Uint8Array> {
    if (size === 0) return (async function* () {})();
    return createReadStream(path, { start: offset, end: offset + size - 1, highWaterMark: READ_SIZE });
  }

  return {
    path,
    has: (name) => find(name) !== undefined,
    size: (name) => get(name).size,
    open: (name) => read(get(name)),
    async readDocument(name) {
      const file = get(name);
      checkDocumentSize(file.size, limits, `${path} ${name}`);
      const pieces: Uint8Array[] = [];
      for await (const piece of read(file)) pieces.push(piece);
      return Buffer.concat(pieces);
    },
  };
}

async function refuseCompressed(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (COMPRESSED.test(buffer.toString('hex'))) {
      throw new PanamaxError('bad-input', 'archive is compressed; decompress it first', {
        expected: 'a plain tar',
        where: path,
      });
    }
  } finally {
    await file.close();
  }
}
