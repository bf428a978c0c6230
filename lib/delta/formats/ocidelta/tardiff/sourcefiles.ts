import { isUtf8 } from 'node:buffer';
import type { RootfsFiles } from '../../../../image/rootfsfiles.ts';
import type { ByteString } from '../../../../image/tar/entry.ts';
import { MAX_PATH_SIZE } from './format.ts';

/** Files of the source's flattened image that a tar-diff may refer to, each a number. */
export interface SourceFiles {
  /** All bytes of all files, as ranges of the layer stream: [start, end, start, end, …], ascending, disjoint. */
  readonly usable: Float64Array;
  /** The file that holds a usable byte. */
  at(offset: number): number;
  /** -1 for an unknown path. */
  find(path: ByteString): number;
  pathOf(file: number): Uint8Array;
  sizeOf(file: number): number;
  /** Where its bytes are in the source's layer stream. */
  offsetOf(file: number): number;
}

/**
 * Indexes the files of a flattened image both ways. Left out are sparse files, whose bytes are not together in the
 * layer stream, and paths that readers refuse.
 */
export function indexSourceFiles(files: RootfsFiles): SourceFiles {
  const { count, size, offset, isSparse, pathEnd, paths } = files;
  const pathStart = (i: number) => (i === 0 ? 0 : pathEnd[i - 1]!);
  const pathOf = (i: number) => paths.subarray(pathStart(i), pathEnd[i]);
  const isReferable = (i: number) =>
    isSparse[i] === 0 && pathEnd[i]! - pathStart(i) <= MAX_PATH_SIZE && isUtf8(pathOf(i));

  /** Below 0 where the path of file i comes before `path`, in bytes. */
  function compare(i: number, path: ByteString): number {
    const start = pathStart(i);
    const length = pathEnd[i]! - start;
    for (let k = 0; k < Math.min(length, path.length); k++) {
      const difference = paths[start + k]! - path.charCodeAt(k);
      if (difference !== 0) return difference;
    }
    return length - path.length;
  }

  const byOffset = orderedByOffset(files, isReferable);
  const usable = new Float64Array(2 * byOffset.length);
  for (const [k, i] of byOffset.entries()) {
    usable[2 * k] = offset[i]!;
    usable[2 * k + 1] = offset[i]! + size[i]!;
  }
  return {
    usable,
    at: (wanted) => byOffset[lastBelow(byOffset.length, (k) => offset[byOffset[k]!]! <= wanted)]!,
    find(path) {
      const i = lastBelow(count, (k) => compare(k, path) <= 0);
      return i < count && compare(i, path) === 0 && isReferable(i) ? i : -1;
    },
    pathOf,
    sizeOf: (i) => size[i]!,
    offsetOf: (i) => offset[i]!,
  };
}

/** Files with content; hardlinks count once, by their first path. */
function orderedByOffset({ count, size, offset }: RootfsFiles, allowed: (i: number) => boolean): Uint32Array {
  const order = new Uint32Array(count);
  let kept = 0;
  for (let i = 0; i < count; i++) if (size[i]! > 0 && allowed(i)) order[kept++] = i;
  const sorted = order.subarray(0, kept).sort((a, b) => offset[a]! - offset[b]! || a - b);
  return sorted.filter((file, k) => k === 0 || offset[file] !== offset[sorted[k - 1]!]);
}

/** Binary search: the last number for which a condition holds that holds up to some number; 0 if it never holds. */
function lastBelow(count: number, holds: (k: number) => boolean): number {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
