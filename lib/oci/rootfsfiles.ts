import type { LayerStream } from '../delta/alignment.ts';
import type { Limits } from '../limits.ts';
import type { ByteString, SparseRun } from '../tar/entry.ts';
import { scanTarFile } from '../tar/file.ts';
import { createRootfs } from './rootfs.ts';

/** A regular file of the flattened image, and where its stored bytes are in the layer stream. */
export interface RootfsFile {
  readonly path: ByteString;
  /** As a reader of the file sees it. */
  readonly size: number;
  readonly offset: number;
  /** Only for sparse files: where the stored bytes, one run behind the other, belong. */
  readonly sparse?: readonly SparseRun[];
}

/**
 * Lists the regular files of an image's flattened root filesystem in bytewise order of their paths, from the
 * headers of its layer stream. Hardlinks are listed under each of their paths.
 *
 * @throws PanamaxError `bad-input`, `limit`
 */
export async function listRootfsFiles(stream: LayerStream, limits: Limits): Promise<RootfsFile[]> {
  const rootfs = createRootfs<Omit<RootfsFile, 'path'>>(limits);
  let start = 0;
  for (const [i, size] of stream.layerSizes.entries()) {
    const where = `layer ${i} of ${stream.path}`;
    rootfs.beginLayer(where);
    const range = { path: stream.path, start, end: start + size };
    for await (const entry of scanTarFile(range, { limits, where })) {
      const { bodyOffset: offset, size, sparse } = entry;
      rootfs.add(entry, entry.type === 'file' ? { size, offset, ...(sparse && { sparse }) } : undefined);
    }
    start += size;
  }
  return rootfs
    .nodes()
    .flatMap(({ path, node }) => (node.type === 'file' && node.content ? [{ path, ...node.content }] : []));
}
