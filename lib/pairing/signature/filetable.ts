import type { Digest } from '../../digest.ts';
import { createHash } from 'node:crypto';
import type { RootfsItem } from '../../image/rootfs.ts';
import type { ByteString } from '../../image/tar/entry.ts';
import { bytesColumn, numbersColumn, textAt, textColumn, type Texts } from '../../runtime/column.ts';
import { DIGEST_SIZE, digestAt, digestBytes, type Digests } from './digestset.ts';

export const FILE_KINDS = ['file', 'directory', 'symlink', 'char', 'block', 'fifo'] as const;
export type FileKind = (typeof FILE_KINDS)[number];

/** A path of the flattened image. */
export interface FileRecord {
  /** Relative to the root, as a byte string. */
  readonly path: ByteString;
  readonly kind: FileKind;
  /** In bytes; 0 for other kinds than `file`. */
  readonly size: number;
  /** Only for files. */
  readonly digest?: Digest;
}

/** The paths of the flattened image in bytewise order, in columns. */
export interface FileTable {
  readonly paths: Texts;
  /** Indices into `FILE_KINDS`. */
  readonly kinds: Uint8Array;
  readonly sizes: Float64Array;
  /** All zeros for other kinds than `file`. */
  readonly digests: Digests;
}

export interface FileTableBuilder {
  /** @param digest the 32 bytes of the content digest, only for files */
  add(path: ByteString, kind: FileKind, size: number, digest?: Uint8Array): void;
  finish(): FileTable;
}

const NO_DIGEST = new Uint8Array(DIGEST_SIZE);

export function createFileTable(): FileTableBuilder {
  const paths = textColumn();
  const kinds = bytesColumn();
  const sizes = numbersColumn();
  const digests = bytesColumn();
  return {
    add(path, kind, size, digest = NO_DIGEST) {
      paths.push(path);
      kinds.push(FILE_KINDS.indexOf(kind));
      sizes.push(size);
      digests.append(digest);
    },
    finish: () => ({
      paths: paths.finish(),
      kinds: kinds.finish(),
      sizes: sizes.finish(),
      digests: digests.finish(),
    }),
  };
}

export function fileTableOf(records: Iterable<FileRecord>): FileTable {
  const table = createFileTable();
  for (const { path, kind, size, digest } of records) {
    table.add(path, kind, size, digest && digestBytes(digest));
  }
  return table.finish();
}

export function* fileRecords({ paths, kinds, sizes, digests }: FileTable): Generator<FileRecord, void, void> {
  for (const [i, number] of kinds.entries()) {
    const kind = FILE_KINDS[number]!;
    const digest = kind === 'file' ? { digest: digestAt(digests, i) } : {};
    yield { path: textAt(paths, i), kind, size: sizes[i]!, ...digest };
  }
}

/**
 * Computes the content digest: a digest over the flattened image without times (docs/formats.md). It covers one record
 * per path, in bytewise order of the paths. A record has the fields below, each terminated by a NUL. Hardlinks count as
 * files.
 */
export function createContentDigest(): {
  add(item: RootfsItem<unknown>, digest: Digest | undefined): void;
  finish(): Digest;
} {
  const hash = createHash('sha256');
  return {
    add({ path, node }, digest) {
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
        digest ?? '',
        ...xattrs.map(([name, value]) => `${name}=${Buffer.from(value, 'latin1').toString('hex')}`),
      ];
      hash.update(`${fields.join('\0')}\0\n`, 'latin1');
    },
    finish: () => `sha256:${hash.digest('hex')}`,
  };
}
