import { createHash } from 'node:crypto';
import type { Digest } from '../oci/descriptor.ts';
import type { RootfsItem } from '../oci/rootfs.ts';
import type { ByteString } from '../tar/entry.ts';

/** What is kept of a file's content while an image is read. */
export interface Content {
  /** Of the file as a reader sees it, holes of sparse files as zeros. */
  readonly digest: Digest;
  /** Where its stored bytes are in the layer stream. */
  readonly offset: number;
  readonly storedSize: number;
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo';

/** One path of the flattened image. */
export interface FileRecord {
  /** Relative to the root, as bytes. */
  readonly path: ByteString;
  readonly kind: FileKind;
  /** In bytes; 0 for anything but a file. */
  readonly size: number;
  /** Only for files. */
  readonly digest?: Digest;
}

/** Lists the flattened image in bytewise order of the paths. */
export function fileTable(items: Iterable<RootfsItem<Content>>): FileRecord[] {
  return Array.from(items, ({ path, node }) => ({
    path,
    kind: node.type,
    size: node.type === 'file' ? node.size : 0,
    ...(node.content ? { digest: node.content.digest } : {}),
  }));
}

/**
 * Digest of all that a container sees of the flattened image but times: a record per path, in bytewise order,
 * of its fields in the order below, each ended by a NUL (docs/formats.md). Hardlinks count as files.
 */
export function contentDigest(items: Iterable<RootfsItem<Content>>): Digest {
  const hash = createHash('sha256');
  for (const { path, node } of items) {
    const xattrs = [...node.xattrs].sort(([a], [b]) => (a < b ? -1 : 1));
    const fields = [
      path,
      node.type,
      node.mode.toString(8),
      node.uid,
      node.gid,
      node.type === 'file' ? node.size : 0,
      node.linkPath,
      node.devMajor,
      node.devMinor,
      node.content?.digest ?? '',
      ...xattrs.map(([name, value]) => `${name}=${Buffer.from(value, 'latin1').toString('hex')}`),
    ];
    hash.update(`${fields.join('\0')}\0\n`, 'latin1');
  }
  return `sha256:${hash.digest('hex')}`;
}
