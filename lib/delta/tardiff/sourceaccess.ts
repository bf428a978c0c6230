import { pagedAccess, type RandomAccess } from '../vcdiff/randomaccess.ts';
import type { OpenSource } from './decode.ts';
import type { SourceFiles } from './sourcefiles.ts';

/** Opens the files of a flattened image in its layer stream, for one reader. */
export function openInStream(stream: RandomAccess, files: SourceFiles): OpenSource {
  const pages = pagedAccess(stream);
  return (path) => {
    const file = files.find(path);
    return file && { size: file.size, read: (into, position) => pages.read(into, file.offset + position) };
  };
}
