import { join } from 'node:path';
import { alignInThread } from '../../align/align.ts';
import type { Alignments, Effort } from '../../align/alignment.ts';
import { AlignmentBuilder, sortAndMerge } from '../../align/alignmentlist.ts';
import { isLikeSize, MIN_FILE, type FilePair } from './batch.ts';
import { listContents, type Contents, type StoredFile } from './contents.ts';
import type { Plan, TimeChange } from './cut.ts';
import { readSegments } from './elf.ts';
import { freeAlignments } from './memory.ts';
import { findMembers, type Inflated, type InflatedSide } from './members.ts';
import { readerOf } from './group.ts';
import { firstEndingAfter } from './stretches.ts';
import { matchMembers } from './membermatch.ts';
import { overlaid } from './overlay.ts';
import { pruned } from './prune.ts';
import { realigned } from './realign.ts';
import { inProgram, movedToProgram, placeMembers, type ProgramMember } from './program.ts';
import type { SourceMember } from './sourcemembers.ts';
import {
  clippedParts,
  createOpenFiles,
  pagedSpace,
  type FilePart,
  type FileParts,
  type Space,
} from '../../../runtime/space.ts';
import type { StoredSide } from './storedside.ts';

export interface PlanOptions {
  /** A directory for contents of members. */
  readonly scratch: string;
  readonly effort: Effort;
  readonly signal?: AbortSignal;
}

/** The input of an encoder. */
export interface PlannedPatch {
  readonly plan: Plan;
  readonly sourceMembers: readonly SourceMember[];
  readonly source: FileParts;
  /** The target program. */
  readonly program: FileParts;
}

/** Finds where each part of a target is predicted from in a source. */
export async function planPatch(
  source: StoredSide,
  target: StoredSide,
  { effort, ...rest }: PlanOptions,
): Promise<PlannedPatch> {
  // the finest index finds alignments that cost more than they save
  const options: PlanOptions = { ...rest, effort: effort === 'best' ? 'default' : effort };
  const aligning = alignInThread(source, target, options);
  // awaited behind the members
  aligning.catch(() => undefined);
  const shared = new Set(source.record.layers.map(({ diffID }) => diffID));
  const from = await listContents(source.stream, () => false);
  const to = await listContents(target.stream, (layer) => shared.has(target.record.layers[layer]!.diffID));
  using files = createOpenFiles();
  const sourceParts = source.stream.parts;
  const sourceSpace = files.space(sourceParts);
  const targetSpace = files.space(target.stream.parts);

  // members
  const members = findMembers(
    { space: sourceSpace, files: from.files, tar: join(options.scratch, 'source-members') },
    { space: targetSpace, files: to.files, tar: join(options.scratch, 'target-members') },
  );
  const alignments = await aligning;
  const found = [...(await matchMembers(members.source, members.target, options))];
  const used = [...new Set(found.map(({ sourceMember }) => sourceMember))].toSorted((a, b) => a - b);
  const usedMembers = used.map((i) => members.source.members[i]!);
  const placed = placeMembers(members.target.members);
  const starts = new Map<number, number>();
  let end = sourceSpace.size;
  for (const i of used) {
    starts.set(i, end);
    end += members.source.members[i]!.size;
  }

  const sourceWithMembers = [
    ...sourceParts,
    ...usedMembers.flatMap((member) => contentOf(members.source, member)),
  ];
  const program = programParts(target, placed, members.target);

  // operations
  const draft = movedToProgram(alignments, placed);
  freeAlignments(alignments);
  for (const { targetMember, sourceMember, target, source, length, exact } of found) {
    draft.push(placed[targetMember]!.start + target, starts.get(sourceMember)! + source, length, exact);
  }
  const matched = sortAndMerge(draft);
  freeAlignments(draft);

  const size = inProgram(placed, targetSpace.size);
  const pairs = pairFiles(from.files, sourceSpace, to.files, targetSpace, matched, placed);
  const tables = new AlignmentBuilder();
  for (const { pair, file } of pairs) {
    const found = realigned(pair, matched, sourceSpace, targetSpace, file.offset);
    if (found) tables.append(found);
  }
  const all = overlaid(matched, tables);
  freeAlignments(matched);
  const candidates = joined(all);
  freeAlignments(all);
  const operations = pruned(
    candidates,
    pagedSpace(files.space(sourceWithMembers)),
    pagedSpace(files.space(program)),
    pairs.map(({ pair }) => pair),
  );
  freeAlignments(candidates);
  return {
    plan: {
      size,
      operations,
      members: placed.map((member, i) => ({ ...member, codec: members.target.members[i]!.codec })),
      files: pairs.map(({ pair }) => pair),
      times: timeChanges(from, to, operations, placed),
    },
    sourceMembers: usedMembers.map(memberOf),
    source: sourceWithMembers,
    program,
  };
}

/** Alignments that go on at one distance, as one: whether bytes are identical makes no difference from here on. */
function joined(items: Alignments): Alignments {
  const draft = new AlignmentBuilder();
  for (let i = 0; i < items.count; i++) draft.push(items.target[i]!, items.source[i]!, items.length[i]!, 0);
  const merged = sortAndMerge(draft);
  freeAlignments(draft);
  return merged;
}

function memberOf({ form, at, stored, size, trailer }: Inflated): SourceMember {
  return { form, at, stored: stored - trailer, size };
}

function contentOf({ stream }: InflatedSide, { start, size }: Inflated): FilePart[] {
  return clippedParts(stream.parts, start, start + size);
}

/** The target program as parts of the layer stream and of the contents. */
function programParts(
  target: StoredSide,
  placed: readonly ProgramMember[],
  inflated: InflatedSide,
): FileParts {
  const stream = target.stream.parts;
  const parts: FilePart[] = [];
  let at = 0;
  for (const [i, member] of placed.entries()) {
    parts.push(...clippedParts(stream, at, member.at), ...contentOf(inflated, inflated.members[i]!));
    at = member.at + member.stored;
  }
  return [...parts, ...clippedParts(stream, at, Infinity)];
}

/** Pairs executables of the target that are predicted with those of the source that most of them comes from. */
function pairFiles(
  sourceFiles: readonly StoredFile[],
  sourceSpace: Space,
  targetFiles: readonly StoredFile[],
  targetSpace: Space,
  operations: Alignments,
  members: readonly ProgramMember[],
): { pair: FilePair; file: StoredFile }[] {
  const candidates = sourceFiles.filter(({ kind }) => kind === 'elf');
  const pairs: { pair: FilePair; file: StoredFile }[] = [];
  for (const file of targetFiles) {
    if (file.kind !== 'elf' || file.size < MIN_FILE) continue;
    const start = inProgram(members, file.offset);
    const like = mostAligned(candidates, operations, start, file.size);
    if (!like) continue;
    const segments = readSegments(readerOf(targetSpace, file.offset, file.size));
    const sourceSegments = readSegments(readerOf(sourceSpace, like.offset, like.size));
    if (segments.length === 0 || sourceSegments.length === 0 || !isLikeSize(file.size, like.size)) continue;
    const { offset: source, size: sourceSize } = like;
    pairs.push({
      file,
      pair: { target: start, source, size: file.size, sourceSize, segments, sourceSegments },
    });
  }
  return pairs;
}

/** @returns undefined where nothing has to be predicted, or not from an executable */
function mostAligned(
  candidates: readonly StoredFile[],
  operations: Alignments,
  start: number,
  size: number,
): StoredFile | undefined {
  const votes = new Map<StoredFile, number>();
  for (let i = firstEndingAfter(operations.target, operations.length, start); i < operations.count; i++) {
    if (operations.target[i]! >= start + size) break;
    if (operations.exact[i] === 1) continue;
    const file = fileAt(candidates, operations.source[i]! + operations.length[i]! / 2);
    if (file) votes.set(file, (votes.get(file) ?? 0) + operations.length[i]!);
  }
  let best: StoredFile | undefined;
  for (const [file, weight] of votes) if (!best || weight > votes.get(best)!) best = file;
  return best;
}

function fileAt(files: readonly StoredFile[], offset: number): StoredFile | undefined {
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (files[middle]!.offset + files[middle]!.size > offset) high = middle;
    else low = middle + 1;
  }
  const file = files[low];
  return file && file.offset <= offset ? file : undefined;
}

/** Headers of the target that are predicted from headers of the source with other times. */
function timeChanges(
  from: Contents,
  to: Contents,
  operations: Alignments,
  members: readonly ProgramMember[],
): TimeChange[] {
  const timeAt = new Map<number, number>();
  for (const [i, header] of from.headers.entries()) timeAt.set(header, from.times[i]!);
  const changes: TimeChange[] = [];
  for (const [i, header] of to.headers.entries()) {
    const at = inProgram(members, header);
    const k = firstEndingAfter(operations.target, operations.length, at);
    if (k === operations.count || operations.target[k]! > at) continue;
    const before = timeAt.get(operations.source[k]! + at - operations.target[k]!);
    const after = to.times[i]!;
    if (before === undefined) continue;
    if (Number.isInteger(before) && Number.isInteger(after) && before >= 0 && after >= 0)
      changes.push({ at, before, after });
  }
  return changes;
}
