import type { Limits } from '../limits.ts';
import { createSharedColumn, growSharedColumn, type SharedColumn } from '../runtime/column.ts';
import { layerRanges, type LayerStream } from './layerstream.ts';
import { createRootfs } from './rootfs.ts';
import { scanTarFile } from './tar/file.ts';
import { metadataBudget } from './tar/reader.ts';

/**
 * The regular files of a flattened image in bytewise order of their paths, and where their stored bytes are in its layer
 * stream. In columns, which threads share: 25 bytes for each file, and its path.
 */
export interface RootfsFiles {
  readonly count: number;
  /** In bytes, as a reader of the file sees it. */
  readonly size: Float64Array;
  readonly offset: Float64Array;
  /** 1 for a sparse file: its stored bytes are not all that a reader sees. */
  readonly isSparse: Uint8Array;
  /** Where the path of file i ends in `paths`; it starts where the one before ends. */
  readonly pathEnd: Float64Array;
  readonly paths: Uint8Array;
}

/**
 * Lists the regular files of an image's flattened root filesystem, from the headers of its layer stream. Hardlinks
 * are listed under each of their paths.
 *
 * @param scan `scanTarFileBlocking` where a thread may wait for its reads, which takes half the time
 * @throws PanamaxError `bad-input`, `limit`
 */
export async function listRootfsFiles(
  stream: LayerStream,
  limits: Limits,
  scan = scanTarFile,
): Promise<RootfsFiles> {
  /** Of all files of all layers; a node has its index here. */
  const sizes: number[] = [];
  const offsets: number[] = [];
  const sparse = new Set<number>();
  const rootfs = createRootfs<number>(limits);
  for (const [i, range] of layerRanges(stream).entries()) {
    const where = `layer ${i} of ${stream.path}`;
    rootfs.beginLayer(where);
    for await (const entry of scan(range, { limits, where })) {
      rootfs.add(entry, sizes.length);
      if (entry.type !== 'file') continue;
      if (entry.sparse) sparse.add(sizes.length);
      sizes.push(entry.size);
      offsets.push(entry.bodyOffset);
    }
  }
  const table = createTable(limits);
  let count = 0;
  let end = 0;
  for (const { path, node } of rootfs.files()) {
    const index = node.content!;
    makeRoom(table, count + 1, end + path.length);
    table.size[count] = sizes[index]!;
    table.offset[count] = offsets[index]!;
    table.isSparse[count] = sparse.has(index) ? 1 : 0;
    for (let i = 0; i < path.length; i++) table.paths[end + i] = path.charCodeAt(i);
    end += path.length;
    table.pathEnd[count++] = end;
  }
  return ofTable(table, count, end);
}

/** A list of files that grows. */
interface Table {
  readonly size: Float64Array<SharedColumn>;
  readonly offset: Float64Array<SharedColumn>;
  readonly isSparse: Uint8Array<SharedColumn>;
  readonly pathEnd: Float64Array<SharedColumn>;
  readonly paths: Uint8Array<SharedColumn>;
}

function createTable(limits: Limits): Table {
  const numbers = () => new Float64Array(createSharedColumn(8 * limits.maxEntries));
  return {
    size: numbers(),
    offset: numbers(),
    isSparse: new Uint8Array(createSharedColumn(limits.maxEntries)),
    pathEnd: numbers(),
    paths: new Uint8Array(createSharedColumn(metadataBudget(limits))),
  };
}

function makeRoom({ size, offset, isSparse, pathEnd, paths }: Table, count: number, pathBytes: number): void {
  for (const { buffer } of [size, offset, pathEnd]) growSharedColumn(buffer, 8 * count);
  growSharedColumn(isSparse.buffer, count);
  growSharedColumn(paths.buffer, pathBytes);
}

function ofTable(table: Table, count: number, pathBytes: number): RootfsFiles {
  const cut = ({ buffer }: Float64Array<SharedColumn>) => new Float64Array(buffer, 0, count);
  return {
    count,
    size: cut(table.size),
    offset: cut(table.offset),
    isSparse: new Uint8Array(table.isSparse.buffer, 0, count),
    pathEnd: cut(table.pathEnd),
    paths: new Uint8Array(table.paths.buffer, 0, pathBytes),
  };
}
