import { isUtf8 } from 'node:buffer';
import type { RootfsFile } from '../../oci/rootfsfiles.ts';
import type { ByteString } from '../../tar/entry.ts';
import { MAX_PATH_SIZE } from './format.ts';

/** A file of the source's flattened image that a tar-diff may refer to. */
export interface SourceFile {
  readonly path: ByteString;
  readonly size: number;
  /** Where its bytes are in the source's layer stream. */
  readonly offset: number;
}

export interface SourceFiles {
  /** All bytes of all files, as ranges of the layer stream: [start, end, start, end, …], ascending, disjoint. */
  readonly usable: Float64Array;
  /** The file that holds a usable byte. */
  at(offset: number): SourceFile;
  find(path: ByteString): SourceFile | undefined;
}

/**
 * Indexes the files of a flattened image both ways. Left out are sparse files, whose bytes are not together in the
 * layer stream, and paths that readers refuse.
 */
export function indexSourceFiles(files: readonly RootfsFile[]): SourceFiles {
  const byPath = new Map<ByteString, SourceFile>();
  const byOffset: SourceFile[] = [];
  const seen = new Set<number>();
  for (const file of files) {
    if (file.sparse || !isReferable(file.path)) continue;
    byPath.set(file.path, file);
    // of hardlinks the first path stands for all
    if (file.size === 0 || seen.has(file.offset)) continue;
    seen.add(file.offset);
    byOffset.push(file);
  }
  byOffset.sort((a, b) => a.offset - b.offset);
  return {
    usable: Float64Array.from(byOffset.flatMap(({ offset, size }) => [offset, offset + size])),
    at(offset) {
      let low = 0;
      let high = byOffset.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (byOffset[middle]!.offset <= offset) low = middle;
        else high = middle - 1;
      }
      return byOffset[low]!;
    },
    find: (path) => byPath.get(path),
  };
}

function isReferable(path: ByteString): boolean {
  return path.length <= MAX_PATH_SIZE && isUtf8(Buffer.from(path, 'latin1'));
}
