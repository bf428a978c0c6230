import type { Profile, ProfileColumns } from './signature/profile.ts';
import { counterpartsIn, type Counterpart } from './counterparts.ts';
import { mergeNumbers, mergeWords, NOWHERE, placeOf, startOf } from './merge.ts';

/** The parts of a target's layer stream, by how much of them its source already has. */
export interface Comparison {
  /** Uncompressed bytes of the layers that both images have. */
  readonly sharedLayerBytes: number;
  /** Number of tar entries in the target's other layers. */
  readonly entries: number;
  /** Bytes of files whose content exists in the source, under any path, or earlier in the target. */
  readonly identicalBytes: number;
  /** Bytes of files with similar content in the source or earlier in the target. */
  readonly changedBytes: number;
  /** Bytes of files without similar content in either. */
  readonly newBytes: number;
  /** The contents behind `changedBytes` and `newBytes`, in the order of the target. */
  readonly contents: Uint32Array;
  /**
   * For each of them the share of its samples that exists in the source or earlier in the target, 0 to 1. Without meaning
   * for contents with too few samples (`isSampled`).
   */
  readonly shares: Float64Array;
  /** For each of them 1 if the source has a file with the same path, or with the same name when numbers are ignored. */
  readonly counterparts: Uint8Array;
  /** For each of them 1 if it counts in `changedBytes`, 0 if it counts in `newBytes`. */
  readonly changes: Uint8Array;
}

/** Contents with fewer samples have no similarity. */
const LEAST_SAMPLES = 4;
/** Contents below this similarity count as new. */
const LEAST_SIMILARITY = 0.1;

export function sampleCount({ sampleEnds }: ProfileColumns, content: number): number {
  return sampleEnds[content]! - startOf(sampleEnds, content);
}

export function isSampled(samples: number): boolean {
  return samples >= LEAST_SAMPLES;
}

/**
 * Share of a content that exists in the source or earlier in the target, above 0 and below 1. One extra sample that matches
 * by half keeps it there: the contents differ, but parts without samples may be equal.
 */
export function similarityOf(share: number, samples: number): number {
  return (share * samples + 0.5) / (samples + 1);
}

/**
 * Compares a target with a source of one or several images. A content that the source lacks is coded at its first file: the
 * target's other files with it are copies of that one.
 */
export function compareProfiles(target: Profile, sources: readonly Profile[]): Comparison {
  const { columns } = target;
  const { sizes, levels, fileContents } = columns;
  const contents = lackingContents(columns, sources);
  const shares = new Float64Array(contents.length);
  const counterparts = new Uint8Array(contents.length);
  const changes = new Uint8Array(contents.length);
  let changedBytes = 0;
  let newBytes = 0;
  if (contents.length > 0) {
    const shareOf = createShares(columns, contents, sources);
    const places = counterpartsIn(columns, sources);
    for (let i = 0; i < contents.length; i++) {
      const content = contents[i]!;
      const samples = sampleCount(columns, content);
      let share = shareOf(content);
      const hasCounterpart = places.has(content);
      if (hasCounterpart && isSampled(samples)) {
        // a counterpart that keeps as many samples has none beside those that were found
        const fewer = places.find(content, levels[content]!);
        if (fewer) share = Math.max(similarityTo(fewer, columns, content), share);
      }
      shares[i] = share;
      counterparts[i] = hasCounterpart ? 1 : 0;
      const isChanged = isSampled(samples) ? similarityOf(share, samples) > LEAST_SIMILARITY : hasCounterpart;
      changes[i] = isChanged ? 1 : 0;
      if (isChanged) changedBytes += sizes[content]!;
      else newBytes += sizes[content]!;
    }
  }
  let fileBytes = 0;
  for (let file = 0; file < fileContents.length; file++) fileBytes += sizes[fileContents[file]!]!;
  const identicalBytes = fileBytes - changedBytes - newBytes;
  const bytes = { identicalBytes, changedBytes, newBytes };
  return { ...layersOf(target, sources), ...bytes, contents, shares, counterparts, changes };
}

function layersOf(target: Profile, sources: readonly Profile[]) {
  const there = new Set(sources.flatMap(({ layers }) => layers.map(({ diffID }) => diffID)));
  let sharedLayerBytes = 0;
  let entries = 0;
  for (const layer of target.layers) {
    if (there.has(layer.diffID)) sharedLayerBytes += layer.size;
    else entries += layer.entries;
  }
  return { sharedLayerBytes, entries };
}

/** The contents of the target that no source has, in the order of the target. */
function lackingContents(
  { contentKeys, keyedContents }: ProfileColumns,
  sources: readonly Profile[],
): Uint32Array {
  const isThere = new Uint8Array(contentKeys.length);
  let there = 0;
  for (const { columns } of sources) {
    const places = mergeNumbers(contentKeys, columns.contentKeys);
    for (let i = 0; i < places.length; i++) {
      const content = keyedContents[i]!;
      if (places[i] === NOWHERE || isThere[content] === 1) continue;
      isThere[content] = 1;
      there++;
    }
  }
  const lacking = new Uint32Array(contentKeys.length - there);
  for (let content = 0, i = 0; i < lacking.length; content++)
    if (isThere[content] === 0) lacking[i++] = content;
  return lacking;
}

/**
 * Makes the function that estimates the share of a content that exists in the sources, or in the contents that it was
 * called with before. A sample that the others keep at a higher level counts several times, for those that they dropped.
 */
function createShares(
  target: ProfileColumns,
  contents: Uint32Array,
  sources: readonly Profile[],
): (content: number) => number {
  const { sampleEnds, sampleValues, levels, values } = target;
  const inSources = levelsIn(sources, target, contents);
  const inTarget = new Uint8Array(values.length);
  return (content) => {
    const own = levels[content]! + 1;
    const start = startOf(sampleEnds, content);
    const end = sampleEnds[content]!;
    let found = 0;
    for (let k = start; k < end; k++) {
      const value = sampleValues[k]!;
      const built = inTarget[value]!;
      const level = inSources[value]! || built;
      if (level > own) found += 2 ** (level - own);
      else if (level > 0) found++;
      if (built === 0 || built > own) inTarget[value] = own;
    }
    return start === end ? 0 : Math.min(1, found / (end - start));
  };
}

/** Of so many times more values, the samples of few contents are looked up one by one. */
const FEW = 32;

/** For each value of the target's samples the lowest level at which a source keeps it, plus 1; 0 if none does. */
function levelsIn(
  sources: readonly Profile[],
  { sampleEnds, sampleValues, values }: ProfileColumns,
  contents: Uint32Array,
): Uint8Array {
  const levels = new Uint8Array(values.length);
  let samples = 0;
  for (const content of contents) samples += sampleEnds[content]! - startOf(sampleEnds, content);
  for (const { columns } of sources) {
    const add = (value: number, place: number) => {
      if (place === NOWHERE) return;
      const level = columns.valueLevels[place]! + 1;
      if (levels[value] === 0 || levels[value]! > level) levels[value] = level;
    };
    if (samples * FEW < values.length) {
      for (const content of contents) {
        for (let k = startOf(sampleEnds, content); k < sampleEnds[content]!; k++)
          add(sampleValues[k]!, placeOf(columns.values, values[sampleValues[k]!]!));
      }
    } else {
      const places = mergeWords(values, columns.values);
      for (let value = 0; value < places.length; value++) add(value, places[value]!);
    }
  }
  return levels;
}

/** Estimated share of a content that exists in one other content, 0 to 1. */
function similarityTo(counterpart: Counterpart, target: ProfileColumns, content: number): number {
  const { source, content: other } = counterpart;
  const divisor = 2 ** Math.max(target.levels[content]!, source.levels[other]!);
  let at = startOf(source.sampleEnds, other);
  let common = 0;
  let all = 0;
  for (let k = startOf(target.sampleEnds, content); k < target.sampleEnds[content]!; k++) {
    const sample = target.values[target.sampleValues[k]!]!;
    if (sample % divisor !== 0) continue;
    all++;
    while (at < source.sampleEnds[other]! && source.values[source.sampleValues[at]!]! < sample) at++;
    if (at < source.sampleEnds[other]! && source.values[source.sampleValues[at]!] === sample) common++;
  }
  return all === 0 ? 0 : common / all;
}
