import { AlignmentBuilder, outside, sortAndMerge } from '../../align/alignmentlist.ts';
import { freeAlignments } from './memory.ts';
import type { Alignments } from '../../align/alignment.ts';

/** Alignments with others laid over them: where they overlap in the target, the others win. */
export function overlaid(items: Alignments, others: Alignments): Alignments {
  const out = new AlignmentBuilder();
  out.append(others);
  const left = outside(items, others);
  out.append(left);
  freeAlignments(left);
  const merged = sortAndMerge(out);
  freeAlignments(out);
  return merged;
}
