import type { Limits } from '../limits.ts';
import { createSharedColumn, growSharedColumn, type SharedColumn } from '../runtime/column.ts';
import { layerRanges, type LayerStream } from './layerstream.ts';
import type { FilePart } from '../runtime/space.ts';
import { createRootfs, type Rootfs } from './rootfs.ts';
import { scanTarFile, scanTarFileBlocking } from './tar/file.ts';
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
 * @throws PanamaxError `bad-input`, `limit`
 */
export async function listRootfsFiles(
  stream: LayerStream,
  limits: Limits,
  scan: Scan = scanTarFile,
): Promise<RootfsFiles> {
  const name = stream.parts[0]?.path ?? 'no layers';
  const rootfs = createRootfs<number>(limits);
  const found = noFiles();
  await addLayers(rootfs, { stream, name }, [0, stream.parts.length], limits, scan, found);
  return tableOf(rootfs, found, limits);
}

/** An image's layer stream, and its name in errors. */
export interface NamedStream {
  readonly name: string;
  readonly stream: LayerStream;
}

/**
 * Flattens two images, the layers that both begin with once.
 *
 * @param isListed whether the files of the first are wanted
 * @throws PanamaxError `bad-input`, `limit`
 */
export async function checkRootfs(
  [first, second]: readonly [NamedStream, NamedStream],
  limits: Limits,
  isListed: boolean,
): Promise<RootfsFiles | undefined> {
  const scan = scanTarFileBlocking;
  const found = noFiles();
  const rootfs = createRootfs<number>(limits);
  const common = commonLayers(first.stream, second.stream);
  await addLayers(rootfs, first, [0, common], limits, scan, found);
  const other = rootfs.copy();
  await addLayers(rootfs, first, [common, first.stream.parts.length], limits, scan, found);
  const files = isListed ? tableOf(rootfs, found, limits) : checkPaths(rootfs);
  await addLayers(other, second, [common, second.stream.parts.length], limits, scan, noFiles());
  checkPaths(other);
  return files;
}

type Scan = typeof scanTarFile | typeof scanTarFileBlocking;

/** Number of layers that both streams begin with: those of one file. */
function commonLayers({ parts }: LayerStream, other: LayerStream): number {
  const isCommon = ({ path, offset }: FilePart, i: number) =>
    other.parts[i]?.path === path && other.parts[i].offset === offset;
  const first = parts.findIndex((part, i) => !isCommon(part, i));
  return first < 0 ? parts.length : first;
}

/** Walks all paths, whose lengths are limited together. */
function checkPaths(rootfs: Rootfs<unknown>): undefined {
  for (const _ of rootfs.files());
}

/** The files of all layers; nodes hold an index into these. */
interface FoundFiles {
  readonly sizes: number[];
  readonly offsets: number[];
  readonly sparse: Set<number>;
}

function noFiles(): FoundFiles {
  return { sizes: [], offsets: [], sparse: new Set() };
}

/** @param range the first layer to add, and the one behind the last */
async function addLayers(
  rootfs: Rootfs<number>,
  { stream, name }: NamedStream,
  [start, end]: readonly [number, number],
  limits: Limits,
  scan: Scan,
  { sizes, offsets, sparse }: FoundFiles,
): Promise<void> {
  const ranges = layerRanges(stream);
  for (let i = start; i < end; i++) {
    const range = ranges[i]!;
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
}

function tableOf(rootfs: Rootfs<number>, found: FoundFiles, limits: Limits): RootfsFiles {
  const { sizes, offsets, sparse } = found;
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
