import { pagedAccess, type RandomAccess } from '../../../randomaccess.ts';
import type { OpenSource } from './decode.ts';
import type { SourceFiles } from './sourcefiles.ts';

/** Opens the files of a flattened image in its layer stream, for one reader. */
export function openInStream(stream: RandomAccess, files: SourceFiles): OpenSource {
  const pages = pagedAccess(stream);
  return (path) => {
    const file = files.find(path);
    if (file < 0) return undefined;
    const offset = files.offsetOf(file);
    return { size: files.sizeOf(file), read: (into, position) => pages.read(into, offset + position) };
  };
}
