import { AlignmentBuilder } from '../../align/alignmentlist.ts';
import type { Alignments } from '../../align/alignment.ts';
import { MIN_GROUP, TYPICAL_GROUP, type Batch, type FilePair } from './batch.ts';
import type { GroupPlace } from './group.ts';
import { firstEndingAfter } from './stretches.ts';
import type { ProgramMember } from './program.ts';

/** The target program cut into batches, and these into groups. */

export interface PlannedBatch extends Batch {
  /** In the target program. */
  readonly start: number;
  readonly size: number;
  readonly groups: readonly GroupPlace[];
}

/** A target program, planned as a whole. */
export interface Plan {
  readonly size: number;
  readonly operations: Alignments;
  readonly members: readonly (ProgramMember & { readonly codec: number })[];
  readonly files: readonly FilePair[];
  /** Offsets of headers in the program whose time changes, with the time before and after. */
  readonly times: readonly TimeChange[];
}

export interface TimeChange {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** A batch ends once it has so many new bytes, operations or bytes to predict, */
const ENOUGH_FRESH = 3 * 1024 ** 2;
const ENOUGH_OPERATIONS = 2 ** 16;
const ENOUGH_PREDICTED = 64 * 1024 ** 2;
/** but within an executable only with so many times as many. */
const WHOLE_FILES = 4;
const MAX_GROUPS = 1024;
/** A group is cut before a file that does not fit where it has so much without it. */
const WORTH_CUTTING = TYPICAL_GROUP / 4;

export function* cutBatches(plan: Plan): Generator<PlannedBatch, void> {
  const { operations } = plan;
  let groups: { start: number; size: number }[] = [];
  const seen = { fresh: 0, operations: 0, predicted: 0 };
  for (const { start, end } of cutGroups(plan)) {
    groups.push({ start, size: end - start });
    let covered = 0;
    for (let i = firstEndingAfter(operations.target, operations.length, start); i < operations.count; i++) {
      if (operations.target[i]! >= end) break;
      const from = Math.max(start, operations.target[i]!);
      const size = Math.min(end, operations.target[i]! + operations.length[i]!) - from;
      covered += size;
      seen.operations++;
      if (isPredicted(plan, from)) seen.predicted += size;
    }
    seen.fresh += end - start - covered;
    const fullness = Math.max(
      seen.fresh / ENOUGH_FRESH,
      seen.operations / ENOUGH_OPERATIONS,
      seen.predicted / ENOUGH_PREDICTED,
    );
    const isInFile = plan.files.some(({ target, size }) => target < end && target + size > end);
    const isFull = fullness >= (isInFile ? WHOLE_FILES : 1) || groups.length === MAX_GROUPS;
    if (!isFull && end < plan.size) continue;
    yield batchOf(plan, groups);
    groups = [];
    seen.fresh = seen.operations = seen.predicted = 0;
  }
}

function* cutGroups(plan: Plan): Generator<{ start: number; end: number }, void> {
  for (let start = 0; start < plan.size;) {
    const end = endOfGroup(plan, start);
    yield { start, end };
    start = end;
  }
}

/** Whether an offset is of an executable that is predicted. */
function isPredicted({ files }: Plan, offset: number): boolean {
  return files.some(({ target, size }) => target <= offset && target + size > offset);
}

function endOfGroup({ size, members, files }: Plan, start: number): number {
  const end = Math.min(size, start + TYPICAL_GROUP);
  const straddles = (from: number, length: number) => from < end && from + length > end;
  const member = members.find((member) => straddles(member.start, member.size));
  if (member) return member.start - start >= MIN_GROUP ? member.start : member.start + member.size;
  const file = files.find(({ target, size }) => straddles(target, size));
  const isBetterWhole = file && file.size <= TYPICAL_GROUP && file.target - start >= WORTH_CUTTING;
  return isBetterWhole ? file.target : end;
}

function batchOf(plan: Plan, groups: readonly GroupPlace[]): PlannedBatch {
  const { start } = groups[0]!;
  const last = groups.at(-1)!;
  const end = last.start + last.size;
  return {
    start,
    size: end - start,
    groups: groups.map((group) => ({ start: group.start - start, size: group.size })),
    operations: clipped(plan.operations, start, end),
    members: plan.members
      .filter((member) => member.start >= start && member.start < end)
      .map((member) => ({ at: member.start - start, size: member.size, codec: member.codec })),
    files: plan.files
      .filter(({ target, size }) => target < end && target + size > start)
      .map((file) => ({ ...file, target: file.target - start })),
    times: timesOf(plan.times.filter(({ at }) => at >= start && at < end)),
  };
}

/** Operations from `start` to `end`, relative to `start`. */
function clipped(items: Alignments, start: number, end: number): Alignments {
  const draft = new AlignmentBuilder();
  for (let i = firstEndingAfter(items.target, items.length, start); i < items.count; i++) {
    if (items.target[i]! >= end) break;
    const from = Math.max(start, items.target[i]!);
    const to = Math.min(end, items.target[i]! + items.length[i]!);
    draft.push(from - start, items.source[i]! + (from - items.target[i]!), to - from, 0);
  }
  return draft.items();
}

/** Changes that are worth telling: the most frequent one of each time. */
function timesOf(changes: readonly TimeChange[]): [number, number][] {
  const votes = new Map<number, Map<number, number>>();
  for (const { before, after } of changes) {
    const counts = votes.get(before) ?? new Map<number, number>();
    votes.set(before, counts.set(after, (counts.get(after) ?? 0) + 1));
  }
  const times: [number, number][] = [];
  for (const [before, counts] of votes) {
    const [after, count] = [...counts].toSorted((a, b) => b[1] - a[1] || a[0] - b[0])[0]!;
    if (after !== before && count > 1) times.push([before, after]);
  }
  return times.toSorted((a, b) => a[0] - b[0]);
}
