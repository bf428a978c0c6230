import { free } from '../../../runtime/memory.ts';
import type { Alignments } from '../../align/alignment.ts';

/** Of threads that code groups or streams, in MiB: their memory is in typed arrays. */
export const YOUNG_GENERATION = 4;

export function freeAlignments({ target, source, length, exact }: Alignments): void {
  for (const column of [target, source, length, exact]) free(column);
}
