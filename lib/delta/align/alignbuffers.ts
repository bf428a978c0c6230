import type { Effort } from './alignment.ts';
import {
  border,
  commonLength,
  equalBytes,
  extension,
  extensionBack,
  sidesOf,
  type Sides,
} from './compare.ts';
import { AlignmentBuilder } from './alignmentlist.ts';
import { rephased } from './records.ts';
import { isTagged, MAX_ENTRIES, offsetOf, SEED, seedHash, SeedTables, type SeedIndex } from './seedindex.ts';

/** Equal bytes that another place has to gain over the current distance (as in bsdiff). */
const MARGIN = 8;
/** A run of this many equal bytes at the current distance ends the search for a better place. */
const RUN = 16;
/** Entries of a slot that are examined. */
const MAX_IN_SLOT = 64;
/** Equal bytes that pay for an alignment at another distance than the one before. */
const MIN_EQUAL = 20;
const LONG = 64;

interface Settings {
  /** Places compared for one seed. */
  readonly maxChain: number;
  /** Entries of an index at most: 4 bytes each, and 4 bytes for each slot. */
  readonly maxEntries: number;
  /** How far apart seeds are at most that are looked up where nothing is found. */
  readonly maxSkip: number;
  /** The skip grows by one for each 2 ** skipBits bytes without a find. */
  readonly skipBits: number;
}

const SETTINGS: Readonly<Record<Effort, Settings>> = {
  fast: { maxChain: 4, maxEntries: 2 ** 21, maxSkip: 16, skipBits: 6 },
  default: { maxChain: 4, maxEntries: 2 ** 22, maxSkip: 8, skipBits: 7 },
  best: { maxChain: 64, maxEntries: MAX_ENTRIES, maxSkip: 8, skipBits: 7 },
};

/** Memory that successive pairs of buffers share. */
export interface Workspace {
  readonly tables: SeedTables;
  readonly builders: readonly [AlignmentBuilder, AlignmentBuilder];
}

export function createWorkspace(tables: SeedTables): Workspace {
  return { tables, builders: [new AlignmentBuilder(), new AlignmentBuilder()] };
}

/**
 * Aligns two buffers byte by byte. The target is scanned for seeds of the source. A place that fits better than the
 * current distance starts a new alignment; both extend over single differences until they meet.
 *
 * @returns alignments that are valid until the workspace is used again
 */
export function alignBuffers(
  source: Uint8Array,
  target: Uint8Array,
  effort: Effort = 'default',
  { tables, builders } = createWorkspace(new SeedTables(source.length)),
): AlignmentBuilder {
  const settings = SETTINGS[effort];
  const sides = sidesOf(source, target);
  let step = 1;
  while (source.length / step > settings.maxEntries) step *= 2;
  const [one, other] = builders;
  scan(sides, tables.index(sides.sourceView, step), settings, one);
  pruned(sides, one, other);
  return rephased(sides, other, one);
}

/** Leaves out alignments too short for any format: they cost more than they save. */
function pruned({ sourceView, targetView }: Sides, items: AlignmentBuilder, kept: AlignmentBuilder): void {
  kept.clear();
  let before = NaN;
  for (let i = 0; i < items.count; i++) {
    const at = items.target[i]!;
    const from = items.source[i]!;
    const length = items.length[i]!;
    const isShort = length < LONG && equalBytes(sourceView, from, targetView, at, length) < MIN_EQUAL;
    if (isShort && from - at !== before) continue;
    before = from - at;
    kept.push(at, from, length, 0);
  }
}

function scan(
  sides: Sides,
  index: SeedIndex,
  { maxChain, maxSkip, skipBits }: Settings,
  out: AlignmentBuilder,
): void {
  const { source, target, sourceView, targetView } = sides;
  const { step, shift, starts, entries, filterShift, filter } = index;
  out.clear();
  const last = target.length - SEED;
  // with a fine index some offsets of the target suffice; stride and step have no common factor
  const stride = step === 1 ? 4 : step <= 4 ? 3 : 1;
  let distance = NaN;
  /** Start of the current alignment, and the end of its verified part. */
  let begin = 0;
  let anchor = 0;
  let t = 0;
  while (t <= last) {
    if (anchor > 0) {
      const run = commonLength(sourceView, t + distance, targetView, t);
      if (run >= RUN) {
        t += run;
        anchor = t;
        continue;
      }
    }
    const low = targetView.getInt32(t, true);
    const high = targetView.getInt32(t + 4, true);
    let best = SEED - 1;
    let found = -1;
    const hash = seedHash(low, high);
    const isThere = (filter[hash >>> (filterShift + 5)]! >>> (hash >>> filterShift)) & 1;
    const slot = hash >>> shift;
    const first = isThere ? starts[slot]! : 0;
    const end = isThere ? Math.min(starts[slot + 1]!, first + MAX_IN_SLOT) : 0;
    for (let i = first, left = maxChain; i < end && left > 0; i++) {
      const entry = entries[i]!;
      if (!isTagged(entry, hash, shift)) continue;
      left--;
      const s = offsetOf(entry);
      if (s - t === distance) continue;
      if (sourceView.getInt32(s, true) !== low || sourceView.getInt32(s + 4, true) !== high) continue;
      // a match that is no longer than the best one differs there
      if (source[s + best] !== target[t + best]) continue;
      const length = SEED + commonLength(sourceView, s + SEED, targetView, t + SEED);
      if (length > best) {
        best = length;
        found = s;
      }
    }
    if (found < 0) {
      // the search gets sparser the longer nothing is found
      t += stride + Math.min(maxSkip, (t - anchor) >> skipBits);
      continue;
    }
    if (anchor === 0) {
      distance = found - t;
      begin = t - extensionBack(sourceView, found, targetView, t, 0);
    } else {
      const equal = equalBytes(sourceView, t + distance, targetView, t, best);
      if (best <= equal + MARGIN) {
        t += best > 2 * SEED ? best >> 1 : stride;
        continue;
      }
      const meeting = change(sides, out, { begin, anchor, distance }, t, found - t);
      begin = meeting;
      distance = found - t;
    }
    t += best;
    anchor = t;
  }
  if (anchor > 0) {
    const length = anchor - begin + extension(sourceView, anchor + distance, targetView, anchor, Infinity);
    out.push(begin, begin + distance, length, 0);
  }
}

/** Ends the current alignment for one at another distance, found at `t`. @returns the start of the new one */
function change(
  { source, target, sourceView, targetView }: Sides,
  out: AlignmentBuilder,
  { begin, anchor, distance }: { begin: number; anchor: number; distance: number },
  t: number,
  next: number,
): number {
  let end = anchor + extension(sourceView, anchor + distance, targetView, anchor, t - anchor);
  let start = t - extensionBack(sourceView, t + next, targetView, t, begin);
  if (start < end) end = start = border(source, target, distance, next, start, end);
  out.push(begin, begin + distance, end - begin, 0);
  return start;
}
