import { AlignmentBuilder, sortAndMerge } from '../../align/alignmentlist.ts';
import type { Alignments } from '../../align/alignment.ts';

/** Alignments with others laid over them: where they overlap in the target, the others win. */
export function overlaid(items: Alignments, others: Alignments): Alignments {
  const out = new AlignmentBuilder();
  out.append(others);
  let next = 0;
  for (let i = 0; i < items.count; i++) {
    let at = items.target[i]!;
    const end = at + items.length[i]!;
    const distance = items.source[i]! - at;
    while (next < others.count && others.target[next]! + others.length[next]! <= at) next++;
    for (let k = next; at < end; k++) {
      const stop = k < others.count ? Math.min(end, others.target[k]!) : end;
      out.push(at, at + distance, stop - at, items.exact[i]!);
      at = k < others.count ? Math.max(at, others.target[k]! + others.length[k]!) : end;
    }
  }
  return sortAndMerge(out.items());
}
