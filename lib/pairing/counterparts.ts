import type { Digest } from '../digest.ts';
import { mergeNumbers, NOWHERE, startOf } from './merge.ts';
import type { Profile, ProfileColumns } from './signature/profile.ts';

/** A content of a source, in a file that corresponds to a file of the target. */
export interface Counterpart {
  readonly source: ProfileColumns;
  readonly content: number;
}

/** The columns of a source, and where the target's paths and families are in it. */
interface Place {
  readonly source: ProfileColumns;
  readonly paths: Int32Array;
  readonly families: Int32Array;
  /** The number of each layer among the layers of all sources. */
  readonly layerNumbers: readonly number[];
}

/** The counterparts of a target's contents in one or several sources. */
export interface Counterparts {
  has(content: number): boolean;
  /**
   * The counterpart of a content: the last file in the sources with the path of the content's first file; else, of the files
   * with the same family name, the one nearest in size, of equally near ones the first.
   *
   * @returns undefined if its samples are of this level or below it
   */
  find(content: number, level: number): Counterpart | undefined;
}

export function counterpartsIn(target: ProfileColumns, sources: readonly Profile[]): Counterparts {
  const { firstFiles, filePaths, fileFamilies, sizes } = target;
  const places = placesOf(target, sources);

  function find(content: number): { place: Place; file: number } | undefined {
    const first = firstFiles[content]!;
    const [path, family] = [filePaths[first]!, fileFamilies[first]!];
    const size = sizes[content]!;
    let best: Place | undefined;
    let bestFile = 0;
    for (const place of places) {
      if (place.paths[path] === NOWHERE) continue;
      const file = place.source.pathFiles[place.paths[path]!]!;
      if (!best || isBefore(best, bestFile, place, file)) [best, bestFile] = [place, file];
    }
    for (const place of best ? [] : places) {
      if (place.families[family] === NOWHERE) continue;
      const file = closest(place.source, place.families[family]!, size);
      const farther = best ? distance(place, file, size) - distance(best, bestFile, size) : -1;
      if (farther < 0 || (farther === 0 && isBefore(place, file, best!, bestFile)))
        [best, bestFile] = [place, file];
    }
    return best && { place: best, file: bestFile };
  }

  return {
    has(content) {
      const first = firstFiles[content]!;
      for (let i = 0; i < places.length; i++) {
        const { paths, families } = places[i]!;
        if (paths[filePaths[first]!] !== NOWHERE || families[fileFamilies[first]!] !== NOWHERE) return true;
      }
      return false;
    },
    find(content, level) {
      const found = find(content);
      if (!found) return undefined;
      const { source } = found.place;
      const other = source.fileContents[found.file]!;
      return source.levels[other]! > level ? { source, content: other } : undefined;
    },
  };
}

function placesOf({ pathKeys, familyKeys }: ProfileColumns, sources: readonly Profile[]): Place[] {
  const numbers = new Map<Digest, number>();
  for (const { diffID } of sources.flatMap(({ layers }) => layers)) {
    if (!numbers.has(diffID)) numbers.set(diffID, numbers.size);
  }
  return sources.map(({ columns, layers }) => ({
    source: columns,
    paths: mergeNumbers(pathKeys, columns.pathKeys),
    families: mergeNumbers(familyKeys, columns.familyKeys),
    layerNumbers: layers.map(({ diffID }) => numbers.get(diffID)!),
  }));
}

function distance({ source }: Place, file: number, size: number): number {
  return Math.abs(sizeOf(source, file) - size);
}

function sizeOf({ sizes, fileContents }: ProfileColumns, file: number): number {
  return sizes[fileContents[file]!]!;
}

/** Whether a file comes before another one in the layers of all sources. */
function isBefore(place: Place, file: number, other: Place, otherFile: number): boolean {
  if (place === other) return file < otherFile;
  const [a, b] = [positionOf(place, file), positionOf(other, otherFile)];
  return a.layer === b.layer ? a.file < b.file : a.layer < b.layer;
}

function positionOf({ source: { layerEnds }, layerNumbers }: Place, file: number) {
  const layer = layerEnds.findIndex((end) => file < end);
  return { layer: layerNumbers[layer]!, file: file - startOf(layerEnds, layer) };
}

/** The file of a family that is nearest in size; of equally near files the first. */
function closest(source: ProfileColumns, family: number, size: number): number {
  const { familyEnds, familyFiles } = source;
  const start = startOf(familyEnds, family);
  const end = familyEnds[family]!;
  /** Position of the first file of at least this size. */
  const firstFrom = (least: number) => {
    let low = start;
    let high = end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sizeOf(source, familyFiles[middle]!) < least) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const at = firstFrom(size);
  if (at === start) return familyFiles[at]!;
  const below = familyFiles[firstFrom(sizeOf(source, familyFiles[at - 1]!))]!;
  if (at === end) return below;
  const above = familyFiles[at]!;
  const difference = size - sizeOf(source, below) - (sizeOf(source, above) - size);
  return difference < 0 || (difference === 0 && below < above) ? below : above;
}
