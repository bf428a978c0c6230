/**
 * The entries of a tar (POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU), as the reader reports them.
 *
 * Names are bytes. They are kept as "byte strings": JavaScript strings with one char (0-255) per byte
 * (latin1), so that names that are no UTF-8 survive, compare bytewise and work as map keys.
 */
export type ByteString = string;

export type EntryType = 'file' | 'hardlink' | 'symlink' | 'directory' | 'char' | 'block' | 'fifo';

/** A run of stored bytes of a sparse file: they belong at `offset` of the expanded file. */
export interface SparseRun {
  readonly offset: number;
  readonly size: number;
}

export interface TarEntry {
  /** Offset in the tar of the first block of this entry, pax and GNU extension headers included. */
  readonly offset: number;
  /** Offset in the tar of the stored content. For a sparse pax 1.0 file: behind its embedded map. */
  readonly bodyOffset: number;
  /** Stored content in bytes, without padding. */
  readonly bodySize: number;
  /** Offset in the tar behind the content's padding: where the next entry starts. */
  readonly end: number;
  /** As written in the tar: not normalised, may be relative, absolute or escaping. */
  readonly path: ByteString;
  readonly type: EntryType;
  /** Size of the file as a reader of the file system sees it: `bodySize` but for sparse files. */
  readonly size: number;
  /** Target of a hardlink or symlink, else ''. */
  readonly linkPath: ByteString;
  /** Permission bits, setuid, setgid and sticky included (07777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch, with a fraction where pax gives one. */
  readonly mtime: number;
  readonly devMajor: number;
  readonly devMinor: number;
  /** From pax SCHILY.xattr.*: name to value, both byte strings. */
  readonly xattrs: ReadonlyMap<string, ByteString>;
  /** Only for sparse files (GNU old format, pax 0.0, 0.1, 1.0): runs in ascending order. */
  readonly sparse?: readonly SparseRun[];
}

/**
 * What a scan yields, in tar order: an entry, then its stored content in pieces (none for an empty body).
 * `data` is valid only until the next event is asked for.
 */
export type TarEvent =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  | { readonly kind: 'data'; readonly entry: TarEntry; readonly data: Uint8Array };
