import { AlignmentBuilder, outside, sortAndMerge } from '../../align/alignmentlist.ts';
import type { Alignments } from '../../align/alignment.ts';

/** Alignments with others laid over them: where they overlap in the target, the others win. */
export function overlaid(items: Alignments, others: Alignments): Alignments {
  const out = new AlignmentBuilder();
  out.append(others);
  out.append(outside(items, others));
  return sortAndMerge(out.items());
}
