import { numbersColumn, wordsColumn } from '../runtime/column.ts';

/** Files by their names, numbered as they come, from 0 on. */
export interface Names {
  add(name: string, size: number): void;
  /** Of the files of a name the one nearest in size; of several the first. All are there by then. */
  closest(name: string, size: number): number | undefined;
}

const NONE = 0xffffffff;

export function createNames(): Names {
  const newestOf = new Map<string, number>();
  /** For each file the one of its name that was added before. */
  const before = wordsColumn();
  const sizes = numbersColumn();
  /** Of names that were asked for: their files by size, then as they came. */
  const sorted = new Map<string, Uint32Array>();

  function filesOf(name: string): Uint32Array | undefined {
    const known = sorted.get(name);
    if (known) return known;
    const newest = newestOf.get(name);
    if (newest === undefined) return undefined;
    const files = wordsColumn();
    for (let file = newest; file !== NONE; file = before.view()[file]!) files.push(file);
    const all = sizes.view();
    const list = files.finish().sort((a, b) => all[a]! - all[b]! || a - b);
    sorted.set(name, list);
    return list;
  }

  return {
    add(name, size) {
      before.push(newestOf.get(name) ?? NONE);
      newestOf.set(name, sizes.length);
      sizes.push(size);
    },
    closest(name, size) {
      const files = filesOf(name);
      if (!files) return undefined;
      const all = sizes.view();
      /** The first of those that are at least so large. */
      const from = (least: number) => {
        let [low, high] = [0, files.length];
        while (low < high) {
          const middle = (low + high) >> 1;
          if (all[files[middle]!]! < least) low = middle + 1;
          else high = middle;
        }
        return low;
      };
      const at = from(size);
      const above = files[at];
      if (at === 0) return above;
      const below = files[from(all[files[at - 1]!]!)]!;
      if (above === undefined) return below;
      const difference = size - all[below]! - (all[above]! - size);
      return difference < 0 || (difference === 0 && below < above) ? below : above;
    },
  };
}
