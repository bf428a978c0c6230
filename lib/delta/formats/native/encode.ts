import type { Effort } from '../../align/alignment.ts';
import { BitEncoder } from './bitcoder.ts';
import { BatchModels, codeBatch } from './batch.ts';
import { writeDescription, writeHead, writePatchHeader } from './container.ts';
import { cutBatches, type Plan, type PlannedBatch } from './cut.ts';
import { codeSection, ENOUGH_IN_SECTION, SectionModels, sum, type GroupHeader } from './section.ts';
import { codingFor, isMixed, LZMA, MIXED } from './streamcoder.ts';
import { createStreamCrew, type StreamCrew } from './streamcrew.ts';
import { STREAMS, type StreamParts } from './streams.ts';
import { free } from '../../../runtime/memory.ts';
import { createGroupCrew, type GroupCrew } from './groupcrew.ts';
import type { EncodedGroup } from './groupjob.ts';
import type { PlannedPatch } from './plan.ts';
import { storeRecipe } from './recipecoder.ts';
import type { GroupPlace } from './group.ts';
import { encodeSourceMembers } from './sourcemembers.ts';
import { clippedParts, type FileParts } from '../../../runtime/space.ts';

export interface EncodeOptions extends PlannedPatch {
  /** JSON. The first section is made before it is awaited. */
  readonly recipe: Buffer | Promise<Buffer>;
  /** The target's layer stream. */
  readonly target: FileParts;
  readonly effort: Effort;
  /** By default as many as pay, at most 3; 0: everything in this thread. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

const MIN_SHARED = 16 * 1024 ** 2;
const THREADS = 2;
/** New bytes from which on time counts more than the last percents, and on which two threads work. */
const MUCH = 2 * 1024 ** 2;
/** Groups that are encoded, and sections that are compressed, ahead of the one that is awaited. */
const GROUPS_AHEAD = 3;
const SECTIONS_AHEAD = 1;

interface ChosenOptions extends EncodeOptions {
  /** How streams are compressed. */
  readonly coding: number;
}

/** Groups with their streams, compressed together. */
interface EncodedSection {
  readonly batch: PlannedBatch;
  /** Index in the batch of the first group. */
  readonly first: number;
  readonly groups: readonly GroupHeader[];
  readonly operands: readonly Uint8Array[];
  readonly streams: Promise<StreamParts>;
}

/** Yields a patch of the format `panamax`. */
export async function* encodeNative(options: EncodeOptions): AsyncGenerator<Uint8Array, void> {
  const { plan, source, sourceMembers, recipe, effort, signal } = options;
  const { threads = plan.size < MIN_SHARED ? 0 : THREADS } = options;
  const fresh = freshSize(plan);
  const coding = codingFor(effort, fresh);
  const much = fresh > MUCH;
  const compressing = threads === 0 ? 0 : much && (coding === LZMA || coding === MIXED) ? 2 : 1;
  // mixed groups depend on those before them
  const building = much || isMixed(coding) ? Math.min(1, threads) : threads;
  await using crew = createGroupCrew(source, building, signal);
  await using streams = createStreamCrew({ effort, coding, much }, compressing, signal);
  const write = createWriter(sum(source.map(({ size }) => size)));
  const waiting: EncodedSection[] = [];
  const sections = encodeSections({ ...options, coding }, crew, streams);
  const first = sections.next();
  // awaited below
  first.catch(() => undefined);
  yield writePatchHeader({
    coding,
    recipe: storeRecipe(await recipe),
    members: encodeSourceMembers(sourceMembers),
  });
  for (let next = await first; !next.done; next = await sections.next()) {
    waiting.push(next.value);
    if (waiting.length > SECTIONS_AHEAD) yield* write(waiting.shift()!);
  }
  for (const section of waiting) yield* write(section);
  yield writeHead();
}

/** Encodes groups, and starts to compress their streams section by section. */
async function* encodeSections(
  options: ChosenOptions,
  crew: GroupCrew,
  streams: StreamCrew,
): AsyncGenerator<EncodedSection, void> {
  let groups: EncodedGroup[] = [];
  let size = 0;
  for await (const { batch, index, encoded } of encodeGroups(options, crew)) {
    groups.push(encoded);
    size += sum(encoded.parts.map(({ length }) => length));
    if (size < ENOUGH_IN_SECTION && index < batch.groups.length - 1) continue;
    const headers = groups.map(headerOf);
    const joined = joinedParts(groups);
    for (const part of groups.flatMap(({ parts }) => parts)) free(part);
    const compressed = streams.compress(joined);
    // awaited later
    compressed.catch(() => undefined);
    yield {
      batch,
      first: index + 1 - groups.length,
      groups: headers,
      operands: groups.map(({ operands }) => operands),
      streams: compressed,
    };
    groups = [];
    size = 0;
  }
}

function headerOf({ parts, operands, checksum }: EncodedGroup): GroupHeader {
  const sizes = { parts: parts.map(({ length }) => length), operands: operands.length };
  return checksum === undefined ? sizes : { ...sizes, checksum };
}

interface GroupOfBatch {
  readonly batch: PlannedBatch;
  readonly index: number;
  readonly encoded: EncodedGroup;
}

async function* encodeGroups(options: ChosenOptions, crew: GroupCrew): AsyncGenerator<GroupOfBatch, void> {
  const waiting: Promise<GroupOfBatch>[] = [];
  for (const batch of cutBatches(options.plan)) {
    const open = crew.open(batch);
    for (const [index, place] of batch.groups.entries()) {
      options.signal?.throwIfAborted();
      const work = workFor(options, batch, place);
      const done = open.encode(place, work).then((encoded) => ({ batch, index, encoded }));
      // awaited later
      done.catch(() => undefined);
      waiting.push(done);
      if (waiting.length > GROUPS_AHEAD) yield await waiting.shift()!;
    }
  }
  for (const done of waiting) yield await done;
}

/** Writes sections in order, each batch's description in front of its first one. */
function createWriter(sourceSize: number): (section: EncodedSection) => AsyncGenerator<Uint8Array, void> {
  const batchModels = new BatchModels();
  const sectionModels = new SectionModels();
  return async function* ({ batch, first, groups, operands, streams }) {
    const sizes = batch.groups.map(({ size }) => size);
    if (first === 0) {
      const coder = new BitEncoder();
      const place = { start: batch.start, sourceSize, most: Infinity };
      codeBatch(coder, batchModels, { batch, sizes }, place, () => []);
      yield writeDescription(coder.finish());
    }
    const compressed = await streams;
    const coder = new BitEncoder();
    const section = { groups, stored: compressed.map(({ length }) => length) };
    codeSection(coder, sectionModels, section, sizes.slice(first));
    yield writeHead(coder.finish());
    for (const bytes of compressed) if (bytes.length > 0) yield bytes;
    for (const bytes of operands) if (bytes.length > 0) yield bytes;
  };
}

/** Of each stream, in memory of its own. */
function joinedParts(encoded: readonly EncodedGroup[]): Uint8Array<ArrayBuffer>[] {
  return Array.from({ length: STREAMS }, (_, stream) => {
    const parts = encoded.map(({ parts }) => parts[stream]!);
    const joined = new Uint8Array(sum(parts.map(({ length }) => length)));
    let end = 0;
    for (const part of parts) {
      joined.set(part, end);
      end += part.length;
    }
    return joined;
  });
}

function freshSize({ size, operations }: Plan): number {
  return operations.length.reduce((left, length) => left - length, size);
}

function workFor({ program, plan, target, coding }: ChosenOptions, batch: PlannedBatch, place: GroupPlace) {
  const start = batch.start + place.start;
  const end = start + place.size;
  return {
    isMixed: isMixed(coding),
    program: clippedParts(program, start, end),
    stored: clippedParts(target, inStream(plan, start), inStream(plan, end)),
  };
}

/** An offset of the program, outside of members, in the layer stream. */
function inStream({ members }: Plan, offset: number): number {
  const before = members.findLast(({ start, size }) => start + size <= offset);
  return before ? offset - before.start - before.size + before.at + before.stored : offset;
}
