/**
 * Entries of a tar (POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU).
 *
 * Names are byte strings: JavaScript strings with one character (0-255) per byte (latin1). So names that are not
 * UTF-8 are preserved, compare bytewise and work as map keys.
 */
export type ByteString = string;

export type EntryType = 'file' | 'hardlink' | 'symlink' | 'directory' | 'char' | 'block' | 'fifo';

/** A run of stored bytes of a sparse file, and its offset in the expanded file. */
export interface SparseRun {
  readonly offset: number;
  readonly size: number;
}

export interface TarEntry {
  /** Offset in the tar of the entry's first block, pax and GNU extension headers included. */
  readonly offset: number;
  /** Offset in the tar of the stored content, for a sparse pax 1.0 file after its embedded map. */
  readonly bodyOffset: number;
  /** Size of the stored content in bytes, without padding. */
  readonly bodySize: number;
  /**
   * Offset in the tar of the next entry, after the content's padding. `scanTar`, which does not know where the tar ends,
   * counts the padding of a last entry that lacks it.
   */
  readonly end: number;
  /** As written in the tar: not normalized, may be relative or absolute, or lead out of the root. */
  readonly path: ByteString;
  readonly type: EntryType;
  /** Size of the expanded file. Differs from `bodySize` only for sparse files. */
  readonly size: number;
  /** Target of a hardlink or symlink, else ''. */
  readonly linkPath: ByteString;
  /** Permission bits, setuid, setgid and sticky included (07777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch; pax may give a fraction. Rounded beyond 2^53. */
  readonly mtime: number;
  readonly devMajor: number;
  readonly devMinor: number;
  /** From pax SCHILY.xattr.*: name to value, both byte strings. */
  readonly xattrs: ReadonlyMap<string, ByteString>;
  /** Only for sparse files (GNU old format, pax 0.0, 0.1, 1.0): runs in ascending order. */
  readonly sparse?: readonly SparseRun[];
}

/**
 * The events of a scan in the order of the tar: an entry, then the chunks of its stored content (none if empty).
 * `data` is valid until the next event is requested.
 */
export type TarEvent =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  | { readonly kind: 'data'; readonly entry: TarEntry; readonly data: Uint8Array };
