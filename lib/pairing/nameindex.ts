import { numbersColumn, wordsColumn } from '../runtime/column.ts';

/** Finds files by name and size. Files are numbered from 0 in the order they are added. */
export interface NameIndex {
  add(name: string, size: number): void;
  /** The file with this name that is nearest in size; of equally near files the first. Call it after the last `add`. */
  closest(name: string, size: number): number | undefined;
}

const NONE = 0xffffffff;

export function createNameIndex(): NameIndex {
  const newestOf = new Map<string, number>();
  /** For each file the previous file with the same name, or `NONE`. */
  const previous = wordsColumn();
  const sizes = numbersColumn();
  /** Files by size, then by number. Filled at the first query for a name. */
  const sorted = new Map<string, Uint32Array>();

  function filesOf(name: string): Uint32Array | undefined {
    const known = sorted.get(name);
    if (known) return known;
    const newest = newestOf.get(name);
    if (newest === undefined) return undefined;
    const files = wordsColumn();
    for (let file = newest; file !== NONE; file = previous.view()[file]!) files.push(file);
    const all = sizes.view();
    const list = files.finish().sort((a, b) => all[a]! - all[b]! || a - b);
    sorted.set(name, list);
    return list;
  }

  return {
    add(name, size) {
      previous.push(newestOf.get(name) ?? NONE);
      newestOf.set(name, sizes.length);
      sizes.push(size);
    },
    closest(name, size) {
      const files = filesOf(name);
      if (!files) return undefined;
      const all = sizes.view();
      /** Position of the first file of at least this size. */
      const firstFrom = (least: number) => {
        let [low, high] = [0, files.length];
        while (low < high) {
          const middle = (low + high) >> 1;
          if (all[files[middle]!]! < least) low = middle + 1;
          else high = middle;
        }
        return low;
      };
      const at = firstFrom(size);
      const above = files[at];
      if (at === 0) return above;
      const below = files[firstFrom(all[files[at - 1]!]!)]!;
      if (above === undefined) return below;
      const difference = size - all[below]! - (all[above]! - size);
      return difference < 0 || (difference === 0 && below < above) ? below : above;
    },
  };
}
