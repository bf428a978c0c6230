import type { LayerStream } from '../delta/alignment.ts';
import type { Limits } from '../limits.ts';
import { scanTarFile } from '../tar/file.ts';
import { createRootfs } from './rootfs.ts';

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
 * @throws PanamaxError `bad-input`, `limit`
 */
export async function listRootfsFiles(stream: LayerStream, limits: Limits): Promise<RootfsFiles> {
  /** Of all files of all layers; a node has its index here. */
  const sizes: number[] = [];
  const offsets: number[] = [];
  const sparse = new Set<number>();
  const rootfs = createRootfs<number>(limits);
  let start = 0;
  for (const [i, size] of stream.layerSizes.entries()) {
    const where = `layer ${i} of ${stream.path}`;
    rootfs.beginLayer(where);
    const range = { path: stream.path, start, end: start + size };
    for await (const entry of scanTarFile(range, { limits, where })) {
      rootfs.add(entry, sizes.length);
      if (entry.type !== 'file') continue;
      if (entry.sparse) sparse.add(sizes.length);
      sizes.push(entry.size);
      offsets.push(entry.bodyOffset);
    }
    start += size;
  }
  /** In the order of the paths. */
  const nodes: number[] = [];
  const ends: number[] = [];
  let paths = Buffer.alloc(1024 ** 2);
  let end = 0;
  for (const { path, node } of rootfs.files()) {
    nodes.push(node.content!);
    if (end + path.length > paths.length) paths = Buffer.concat([paths], 2 * paths.length);
    end += paths.write(path, end, 'latin1');
    ends.push(end);
  }
  const count = nodes.length;
  const files = {
    count,
    size: new Float64Array(new SharedArrayBuffer(8 * count)),
    offset: new Float64Array(new SharedArrayBuffer(8 * count)),
    isSparse: new Uint8Array(new SharedArrayBuffer(count)),
    pathEnd: new Float64Array(new SharedArrayBuffer(8 * count)),
    paths: new Uint8Array(new SharedArrayBuffer(end)),
  };
  for (const [i, node] of nodes.entries()) {
    files.size[i] = sizes[node]!;
    files.offset[i] = offsets[node]!;
    files.isSparse[i] = sparse.has(node) ? 1 : 0;
  }
  files.pathEnd.set(ends);
  files.paths.set(paths.subarray(0, end));
  return files;
}
