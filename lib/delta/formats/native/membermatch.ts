import { alignInThread } from '../../align/align.ts';
import type { Alignments, Effort } from '../../align/alignment.ts';
import type { InflatedSide } from './members.ts';

/** Contents of members are matched as files of two tars. */

/** Contents in a tar, ascending. */
interface Placed {
  readonly start: number;
  readonly size: number;
}

/** An alignment of a target's member with a source's: offsets within the contents. */
export interface MemberAlignment {
  readonly targetMember: number;
  readonly sourceMember: number;
  readonly target: number;
  readonly source: number;
  readonly length: number;
  readonly exact: number;
}

export async function matchMembers(
  source: InflatedSide,
  target: InflatedSide,
  { effort, signal }: { readonly effort: Effort; readonly signal?: AbortSignal },
): Promise<Iterable<MemberAlignment>> {
  if (source.members.length === 0 || target.members.length === 0) return [];
  const items = await alignInThread(source, target, { effort, ...(signal && { signal }) });
  return cut(items, source.members, target.members);
}

/** Alignments in parts that are each within one member on either side. */
function* cut(
  items: Alignments,
  source: readonly Placed[],
  target: readonly Placed[],
): Generator<MemberAlignment, void> {
  for (let i = 0; i < items.count; i++) {
    const end = items.target[i]! + items.length[i]!;
    const distance = items.source[i]! - items.target[i]!;
    for (let t = firstEnding(target, items.target[i]!); t < target.length && target[t]!.start < end; t++) {
      const low = Math.max(items.target[i]!, target[t]!.start);
      const high = Math.min(end, target[t]!.start + target[t]!.size);
      for (
        let s = firstEnding(source, low + distance);
        s < source.length && source[s]!.start < high + distance;
        s++
      ) {
        const from = Math.max(low + distance, source[s]!.start);
        const to = Math.min(high + distance, source[s]!.start + source[s]!.size);
        if (from >= to) continue;
        yield {
          targetMember: t,
          sourceMember: s,
          target: from - distance - target[t]!.start,
          source: from - source[s]!.start,
          length: to - from,
          exact: items.exact[i]!,
        };
      }
    }
  }
}

function firstEnding(places: readonly Placed[], offset: number): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle]!.start + places[middle]!.size > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
