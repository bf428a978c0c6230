import type { Space } from '../../runtime/space.ts';
import type { Alignments } from './alignment.ts';
import { AlignmentBuilder, outside, sortAndMerge } from './alignmentlist.ts';
import { forEachSample, placeOf, SPACING, type Range, type Samples } from './samples.ts';
import type { StretchPair } from './windows.ts';

/**
 * Finds moved content: parts that went from one file to another, or far away within one, and so are not in the
 * file's counterpart. Stretches without an alignment are sampled; where their samples are close together in the
 * source, too, the two stretches are compared.
 */

/** Shorter alignments may be coincidences and give way to longer ones. */
const STRONG = 256;
/** Shorter ranges have too few samples. */
const MIN_OPEN = 8 * SPACING;
/** Least total of open bytes for which sampling the source pays: a part of the source's size, within two bounds. */
const WORTHWHILE_PART = 1 / 256;
const ALWAYS_WORTHWHILE = 2 * 1024 ** 2;
const NEVER_WORTHWHILE = 64 * 1024;
/** Samples that have to agree: a number, and a share of the samples that a stretch of this length has. */
const MIN_HITS = 4;
const MIN_PART = 1 / 8;
/** Bytes that may be inserted or removed between two samples of one stretch. */
const SLACK = 32 * 1024;
/** Number of the latest stretches of an open range that a sample may continue. */
const RECENT = 8;
/** Bytes that a stretch extends beyond its outer samples. */
const REACH = 8 * SPACING;

/** Stretches of the target without strong alignments, ascending. */
export function openRanges(items: Alignments, targetSize: number, sourceSize: number): Range[] {
  const ranges: Range[] = [];
  let total = 0;
  let end = 0;
  const close = (start: number) => {
    if (start - end < MIN_OPEN) return;
    ranges.push([end, start]);
    total += start - end;
  };
  for (let i = 0; i < items.count; i++) {
    if (items.length[i]! < STRONG) continue;
    close(items.target[i]!);
    end = items.target[i]! + items.length[i]!;
  }
  close(targetSize);
  const least = Math.max(NEVER_WORTHWHILE, sourceSize * WORTHWHILE_PART);
  return total < Math.min(ALWAYS_WORTHWHILE, least) ? [] : ranges;
}

/** Samples that an open range and the source share in the same order. */
interface Trail {
  hits: number;
  readonly first: number;
  last: number;
  /** Offsets in the source: of the last sample, and the lowest and highest of all samples. */
  place: number;
  low: number;
  high: number;
}

/** Pairs of stretches that share samples. */
export function findMoved(
  target: Space,
  open: readonly Range[],
  samples: Samples,
  sourceSize: number,
): StretchPair[] {
  return open.flatMap((range) => {
    const trails = separate(trailsOf(target, range, samples));
    return trails.map(({ first, last, low, high }, i) => {
      const start = Math.max(range[0], trails[i - 1]?.last ?? 0, first - REACH);
      const end = Math.min(range[1], trails[i + 1]?.first ?? Infinity, last + REACH);
      return {
        target: { start, end },
        source: {
          start: Math.max(0, low - (first - start) - REACH),
          end: Math.min(sourceSize, high + (end - last) + REACH),
        },
        // only the best matches pay
        effort: 'fast' as const,
      };
    });
  });
}

function trailsOf(target: Space, range: Range, samples: Samples): Trail[] {
  const trails: Trail[] = [];
  forEachSample(target, range, (sample, at) => {
    const place = placeOf(samples, sample);
    if (place < 0) return;
    for (let i = trails.length - 1; i >= 0 && i >= trails.length - RECENT; i--) {
      const trail = trails[i]!;
      if (Math.abs(place - trail.place - (at - trail.last)) > SLACK) continue;
      trail.hits++;
      trail.last = at;
      trail.place = place;
      trail.low = Math.min(trail.low, place);
      trail.high = Math.max(trail.high, place);
      return;
    }
    trails.push({ hits: 1, first: at, last: at, place, low: place, high: place });
  });
  return trails.filter(
    ({ hits, first, last }) => hits >= Math.max(MIN_HITS, ((last - first) / SPACING) * MIN_PART),
  );
}

/** Trails that do not overlap, those with most samples preferred, in ascending order. */
function separate(trails: readonly Trail[]): Trail[] {
  const kept: Trail[] = [];
  for (const trail of trails.toSorted((a, b) => b.hits - a.hits)) {
    if (kept.every(({ first, last }) => trail.last < first || trail.first > last)) kept.push(trail);
  }
  return kept.toSorted((a, b) => a.first - b.first);
}

/** Adds later alignments: strong ones take precedence over the others, weak ones only fill gaps. */
export function withMoved(items: Alignments, later: readonly Alignments[]): Alignments {
  const strong = new AlignmentBuilder();
  const weak = new AlignmentBuilder();
  for (const found of later) {
    for (let i = 0; i < found.count; i++) {
      const builder = found.length[i]! < STRONG ? weak : strong;
      builder.push(found.target[i]!, found.source[i]!, found.length[i]!, found.exact[i]!);
    }
  }
  const first = sortAndMerge(strong.items());
  const all = new AlignmentBuilder();
  for (const part of [first, outside(items, first), outside(sortAndMerge(weak.items()), first)])
    all.append(part);
  return sortAndMerge(all.items());
}
