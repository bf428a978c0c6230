import type { RandomAccess } from '../vcdiff/randomaccess.ts';
import type { OpenSource } from './decode.ts';
import type { SourceFiles } from './sourcefiles.ts';

const BLOCK_SIZE = 256 * 1024;

/**
 * Opens the files of a flattened image in its layer stream. Small files that stand one behind the other there,
 * which patches read one after the other, come from one read of the stream.
 */
export function openInStream(stream: RandomAccess, files: SourceFiles): OpenSource {
  const block = new Uint8Array(BLOCK_SIZE);
  let start = 0;
  let end = 0;

  async function read(into: Uint8Array, position: number): Promise<void> {
    if (into.length > BLOCK_SIZE / 2) return stream.read(into, position);
    if (position < start || position + into.length > end) {
      end = start;
      const size = Math.min(BLOCK_SIZE, stream.size - position);
      await stream.read(block.subarray(0, size), position);
      start = position;
      end = position + size;
    }
    into.set(block.subarray(position - start, position - start + into.length));
  }

  return (path) => {
    const file = files.find(path);
    return file && { size: file.size, read: (into, position) => read(into, file.offset + position) };
  };
}
