import type { Limits } from '../limits.ts';
import { createSharedColumn, growSharedColumn, type SharedColumn } from '../runtime/column.ts';
import { layerRanges, type LayerStream } from './layerstream.ts';
import { createRootfs } from './rootfs.ts';
import { scanTarFile } from './tar/file.ts';
import { metadataBudget } from './tar/reader.ts';

/**
 * The regular files of a flattened image in bytewise order of their paths, and their offsets in its layer stream.
 * Stored as columns that threads share: each file takes its path and 25 bytes.
 */
export interface RootfsFiles {
  readonly count: number;
  /** Expanded size in bytes, holes of sparse files included. */
  readonly size: Float64Array;
  readonly offset: Float64Array;
  /** 1 for a sparse file, whose stored bytes lack its holes. */
  readonly isSparse: Uint8Array;
  /** End of each path in `paths`; it starts at the end of the path before. */
  readonly pathEnd: Float64Array;
  readonly paths: Uint8Array;
}

/**
 * Lists the regular files of an image's flattened root filesystem, from the headers of its layer stream. Hardlinks
 * are listed under each of their paths.
 *
 * @param scan `scanTarFileBlocking` in threads without other work, where it takes half the time
 * @param name of the image in errors
 * @throws PanamaxError `bad-input`, `limit`
 */
export async function listRootfsFiles(
  stream: LayerStream,
  limits: Limits,
  scan = scanTarFile,
  name = stream.parts[0]?.path ?? 'no layers',
): Promise<RootfsFiles> {
  // of all files in all layers; nodes hold an index into these
  const sizes: number[] = [];
  const offsets: number[] = [];
  const sparse = new Set<number>();
  const rootfs = createRootfs<number>(limits);
  for (const [i, range] of layerRanges(stream).entries()) {
    const where = `layer ${i} of ${name}`;
    rootfs.beginLayer(where);
    for await (const entry of scan(range, { limits, where })) {
      rootfs.add(entry, sizes.length);
      if (entry.type !== 'file') continue;
      if (entry.sparse) sparse.add(sizes.length);
      sizes.push(entry.size);
      offsets.push(entry.bodyOffset + range.shift);
    }
  }
  const table = createTable(limits);
  let count = 0;
  let end = 0;
  for (const { path, node } of rootfs.files()) {
    const index = node.content!;
    growTable(table, count + 1, end + path.length);
    table.size[count] = sizes[index]!;
    table.offset[count] = offsets[index]!;
    table.isSparse[count] = sparse.has(index) ? 1 : 0;
    for (let i = 0; i < path.length; i++) table.paths[end + i] = path.charCodeAt(i);
    end += path.length;
    table.pathEnd[count++] = end;
  }
  return trimTable(table, count, end);
}

/** `RootfsFiles` while it grows. */
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

function growTable(
  { size, offset, isSparse, pathEnd, paths }: Table,
  count: number,
  pathBytes: number,
): void {
  for (const { buffer } of [size, offset, pathEnd]) growSharedColumn(buffer, 8 * count);
  growSharedColumn(isSparse.buffer, count);
  growSharedColumn(paths.buffer, pathBytes);
}

function trimTable(table: Table, count: number, pathBytes: number): RootfsFiles {
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
