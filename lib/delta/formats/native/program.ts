import { AlignmentBuilder } from '../../align/alignmentlist.ts';
import type { Alignments } from '../../align/alignment.ts';

/**
 * The target program: the target's layer stream with the contents of its inflated members in place of their compressed bytes. The
 * source space: the source's layer stream with the contents of inflated members behind it.
 */

/** A member of the target, ascending by place. */
export interface ProgramMember {
  /** Its place in the layer stream and its bytes there. */
  readonly at: number;
  readonly stored: number;
  /** Of its content. */
  readonly size: number;
  /** Where its content is in the program. */
  readonly start: number;
}

/** Places members in the program. */
export function placeMembers(members: readonly Omit<ProgramMember, 'start'>[]): ProgramMember[] {
  let moved = 0;
  return members.map(({ at, stored, size }) => {
    const start = at + moved;
    moved += size - stored;
    return { at, stored, size, start };
  });
}

/** Where an offset of the layer stream outside of members is in the program. */
export function inProgram(members: readonly ProgramMember[], offset: number): number {
  let low = 0;
  let high = members.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (members[middle]!.at + members[middle]!.stored <= offset) low = middle + 1;
    else high = middle;
  }
  const before = members[low - 1];
  return before ? offset - before.at - before.stored + before.start + before.size : offset;
}

/** Moves alignments of the layer streams to the program; those within members are left out. */
export function movedToProgram(items: Alignments, members: readonly ProgramMember[]): AlignmentBuilder {
  const draft = new AlignmentBuilder();
  let next = 0;
  for (let i = 0; i < items.count; i++) {
    let at = items.target[i]!;
    const end = at + items.length[i]!;
    const distance = items.source[i]! - at;
    while (next < members.length && members[next]!.at + members[next]!.stored <= at) next++;
    for (let k = next; at < end; k++) {
      const member = members[k];
      const stop = member ? Math.min(end, member.at) : end;
      if (stop > at) draft.push(inProgram(members, at), at + distance, stop - at, items.exact[i]!);
      at = member ? Math.max(at, member.at + member.stored) : end;
    }
  }
  return draft;
}
