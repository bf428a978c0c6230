import { PanamaxError } from '../../../errors.ts';
import type { Alignments } from '../../align/alignment.ts';
import { areUsable, type Segment } from './elf.ts';
import { createModels, type BitCoder } from './bitcoder.ts';
import { BLOCK } from './headers.ts';
import { MEMBER_CODECS } from './member.ts';
import { NumberModels } from './numbers.ts';
import { codeOperations, OperationModels } from './operations.ts';

/** A run of groups whose operations are coded together. Offsets are relative to its start in the target program. */
export interface Batch {
  readonly operations: Alignments;
  readonly members: readonly TargetMember[];
  readonly files: readonly FilePair[];
  /** Times of the source's files with their times in the target, ascending. */
  readonly times: readonly (readonly [number, number])[];
}

/** Content that is compressed as a part of the target. */
export interface TargetMember {
  readonly at: number;
  readonly size: number;
  /** Index in MEMBER_CODECS. */
  readonly codec: number;
}

/** An executable of the target and the one of the source it is predicted from. */
export interface FilePair {
  readonly target: number;
  /** Offset in the source space. */
  readonly source: number;
  readonly size: number;
  readonly sourceSize: number;
  /** Loaded segments of the target. */
  readonly segments: readonly Segment[];
  /** Those of the source. */
  readonly sourceSegments: readonly Segment[];
}

/** All groups but the last of a patch have at least so much: the work on a batch or a group is in proportion. */
export const MIN_GROUP = 512 * 1024;
/** Content of a member at most, in bytes. */
export const MAX_MEMBER = 4 * 1024 ** 2;
/** Bytes of the target program in one group at most. */
export const MAX_GROUP = MIN_GROUP + MAX_MEMBER;
/** Readers keep some groups in memory. */
export const TYPICAL_GROUP = 2 * 1024 ** 2;
const MAX_GROUPS = 4096;
/** Smaller executables are not predicted: each one takes memory and time. */
export const MIN_FILE = 4096;
const MAX_MEMBERS = 2 ** 18;
const MAX_TIMES = 2 ** 16;
const MAX_SEGMENTS = 16;
/** Size of the target program at most, as a multiple of the target: inflated members are larger. */
export const MAX_RATIO = 16;

export interface BatchPlace {
  /** In the target program. */
  readonly start: number;
  /** Of the source space. */
  readonly sourceSize: number;
  /** Bytes of the batch at most. */
  readonly most: number;
}

/** A batch and the sizes of its groups in the target program. */
export interface Description {
  readonly batch: Batch;
  readonly sizes: readonly number[];
}

/** State that lasts from batch to batch. */
export class BatchModels {
  readonly operations = new OperationModels();
  readonly number = new NumberModels(32);
  readonly sign = createModels(32);
}

/**
 * Codes a batch in either direction.
 *
 * @param segmentsOf the segments of an executable in the source space
 * @throws PanamaxError `bad-patch`
 */
export function codeBatch(
  coder: BitCoder,
  models: BatchModels,
  given: Description | undefined,
  { start, sourceSize, most }: BatchPlace,
  segmentsOf: (offset: number, size: number) => readonly Segment[],
): Description {
  const number = (context: number, value: number) => models.number.code(coder, context, value);
  const signed = (context: number, value: number): number => {
    const size = number(context, Math.abs(value));
    if (size === 0) return 0;
    return coder.bit(models.sign, context, value < 0 ? 1 : 0) === 1 ? -size : size;
  };
  const count = (context: number, value: number, most: number): number => {
    const found = number(context, value);
    if (found > most) throw refused('too many items in a batch', most, found);
    return found;
  };

  const total = count(16, given?.sizes.length ?? 0, MAX_GROUPS);
  if (total === 0) throw refused('a batch of no groups', 1, 0);
  const sizes: number[] = [];
  for (let i = 0; i < total; i++) {
    const size = TYPICAL_GROUP + signed(17, given ? given.sizes[i]! - TYPICAL_GROUP : 0);
    if (size <= 0 || size > MAX_GROUP) throw refused('a group out of bounds', MAX_GROUP, size);
    sizes.push(size);
  }
  const size = sizes.reduce((sum, one) => sum + one, 0);
  if (size > most) throw refused('a target too long', most, size);
  const place = { start, size, sourceSize, most };
  const batch = codeContents(coder, models, given?.batch, place, { number, signed, count }, segmentsOf);
  return { batch, sizes };
}

interface Numbers {
  readonly number: (context: number, value: number) => number;
  readonly signed: (context: number, value: number) => number;
  readonly count: (context: number, value: number, most: number) => number;
}

function codeContents(
  coder: BitCoder,
  models: BatchModels,
  given: Batch | undefined,
  place: BatchPlace & { readonly size: number },
  { number, signed, count }: Numbers,
  segmentsOf: (offset: number, size: number) => readonly Segment[],
): Batch {
  const operations = codeOperations(coder, models.operations, given?.operations, place);

  const members: TargetMember[] = [];
  let end = 0;
  const memberCount = count(0, given?.members.length ?? 0, Math.min(MAX_MEMBERS, place.size));
  for (let i = 0; i < memberCount; i++) {
    const item = given?.members[i];
    const at = end + number(1, item ? item.at - end : 0);
    const size = number(2, item ? item.size : 0);
    const codec = number(3, item ? item.codec : 0);
    end = at + size;
    if (size === 0 || size > MAX_MEMBER || end > place.size)
      throw refused('a member beyond its batch', place.size, end);
    if (codec >= MEMBER_CODECS.length) throw refused('an unknown codec', MEMBER_CODECS.length, codec);
    members.push({ at, size, codec });
  }

  const files: FilePair[] = [];
  end = 0;
  let sourceEnd = 0;
  const fileCount = count(4, given?.files.length ?? 0, place.size / MIN_FILE + 2);
  for (let i = 0; i < fileCount; i++) {
    const item = given?.files[i];
    // a file may begin before the batch and end behind it
    const target = end + signed(5, item ? item.target - end : 0);
    const size = number(6, item ? item.size : 0);
    if (size < MIN_FILE) throw refused('a file too small', MIN_FILE, size);
    const source = sourceEnd + signed(7, item ? item.source - sourceEnd : 0);
    const sourceSize = size + signed(8, item ? item.sourceSize - size : 0);
    if (source < 0 || sourceSize < 0 || source + sourceSize > place.sourceSize) {
      throw refused('a file beyond the source', place.sourceSize, source + sourceSize);
    }
    const sourceSegments = item?.sourceSegments ?? segmentsOf(source, sourceSize);
    const segments = codeSegments(sourceSegments, item?.segments, number, signed);
    if ((i > 0 && target < end) || target >= place.size || target + size <= 0) {
      throw refused('a file beyond its batch', place.size, target);
    }
    if (!isLikeSize(size, sourceSize)) throw refused('a file of quite another size', size, sourceSize);
    end = target + size;
    sourceEnd = source + sourceSize;
    files.push({ target, source, size, sourceSize, segments, sourceSegments });
  }

  const times: [number, number][] = [];
  let [time, moved] = [0, 0];
  const timeCount = count(9, given?.times.length ?? 0, Math.min(MAX_TIMES, place.size / BLOCK));
  for (let i = 0; i < timeCount; i++) {
    const item = given?.times[i];
    time += signed(10, item ? item[0] - time : 0);
    moved += signed(11, item ? item[1] - item[0] - moved : 0);
    times.push([time, time + moved]);
  }
  return { operations, members, files, times };
}

/** Codes the segments of a target by those of its source. */
function codeSegments(
  source: readonly Segment[],
  given: readonly Segment[] | undefined,
  number: (context: number, value: number) => number,
  signed: (context: number, value: number) => number,
): Segment[] {
  const count = number(12, given?.length ?? 0);
  if (count > MAX_SEGMENTS) throw refused('too many segments', MAX_SEGMENTS, count);
  const segments: Segment[] = [];
  let moved = 0;
  for (let i = 0; i < count; i++) {
    const like = source[i] ?? { offset: 0, address: 0, size: 0, memorySize: 0, isCode: false };
    const item = given?.[i];
    const offset = like.offset + moved + signed(13, item ? item.offset - like.offset - moved : 0);
    moved = offset - like.offset;
    const address = like.address + moved + signed(14, item ? item.address - like.address - moved : 0);
    const size = like.size + signed(15, item ? item.size - like.size : 0);
    segments.push({ offset, address, size, memorySize: size, isCode: like.isCode });
  }
  if (!segments.every(({ offset, address, size }) => offset >= 0 && address >= 0 && size >= 0)) {
    throw refused('a segment of no size', 0, -1);
  }
  if (!areUsable(segments)) throw refused('a segment out of bounds', 2 ** 31, 2 ** 31);
  return segments;
}

/** Whether an executable may be predicted from one of another size: the work has to be in proportion. */
export function isLikeSize(size: number, sourceSize: number): boolean {
  return sourceSize <= 16 * size && size <= 16 * sourceSize;
}

function refused(what: string, most: number, found: number): PanamaxError {
  return new PanamaxError('bad-patch', what, { expected: `at most ${most}`, found });
}
