import { PanamaxError } from '../../../errors.ts';
import { AddressMap, addressTable, type AddressTable, type FileStretch } from './addressmap.ts';
import { firstEndingAfter, stretchesOf } from './stretches.ts';
import { CONTEXT, predictExecutable } from './aligned.ts';
import type { AlignedSink, MappedFile } from './mappedfile.ts';
import type { Batch, FilePair, TargetMember } from './batch.ts';
import { readElf, type ReadAt } from './elf.ts';
import { BLOCK, isHeader, isPyc, predictHeader, predictPyc, PYC_HEADER, type Times } from './headers.ts';
import { compressMember } from './member.ts';
import { BitDecoder, BitEncoder } from './bitcoder.ts';
import { GroupComparison, MixedSink, type MixedModels } from './mixedsink.ts';
import type { WrongList } from './plainmixer.ts';
import { GroupDecoder, GroupEncoder } from './sinks.ts';
import type { Space } from '../../../runtime/space.ts';
import { FRESH, MIXTURE, OTHER_BYTES, STREAMS, type StreamParts } from './streams.ts';

/** Operations are predicted in pieces, cut where the offset in the source is a multiple of this. */
const PIECE = 256 * 1024;

/** Memory that successive groups share. */
export interface Workspace {
  /** Of the target program, where its members are compressed afterwards. */
  program: Uint8Array;
  readonly source: Buffer;
}

export function createWorkspace(): Workspace {
  return { program: new Uint8Array(), source: Buffer.alloc(PIECE + 2 * CONTEXT) };
}

/** A part of a batch that is built by itself. */
export interface GroupPlace {
  /** In the target program, relative to the batch. */
  readonly start: number;
  readonly size: number;
}

/** The operations of a group, for an encoder or a decoder. */
interface Steps {
  /** Bytes that no operation covers. */
  readonly fresh: (at: number, size: number) => void;
  readonly sink: AlignedSink;
}

/** Builds or encodes the groups of one batch. */
export class GroupWorker {
  readonly #batch: Batch;
  readonly #source: Space;
  readonly #times: Times;
  readonly #workspace: Workspace;
  /** Of the last executable. Groups and their executables come in order. */
  #table: { readonly pair: FilePair; readonly table: AddressTable | undefined } | undefined;

  constructor(batch: Batch, source: Space, workspace: Workspace) {
    this.#batch = batch;
    this.#source = source;
    this.#workspace = workspace;
    this.#times = new Map(batch.times);
  }

  /**
   * @param target bytes of the group in the target program
   * @param models for a mixed group
   */
  encode(
    place: GroupPlace,
    target: Uint8Array,
    models?: MixedModels,
  ): { parts: Uint8Array[]; operands: Uint8Array } {
    const sink = models ? new GroupComparison(target, place.start) : new GroupEncoder(target, place.start);
    const fresh: Uint8Array[] = [];
    this.#run(place, target, {
      fresh: (at, size) => fresh.push(target.subarray(at - place.start, at - place.start + size)),
      sink,
    });
    let parts: Uint8Array[];
    let operands: Uint8Array = new Uint8Array();
    if (sink instanceof GroupComparison) {
      parts = Array.from({ length: STREAMS }, () => new Uint8Array());
      if (!sink.isRight) parts[MIXTURE] = this.#mixed(place, target, models!, sink.lists());
    } else {
      parts = sink.parts();
      operands = sink.operands();
    }
    parts[FRESH] = Buffer.concat(fresh);
    return { parts, operands };
  }

  #mixed(
    place: GroupPlace,
    target: Uint8Array,
    models: MixedModels,
    lists: readonly WrongList[],
  ): Uint8Array {
    const coder = new BitEncoder();
    const sink = new MixedSink(models, coder, target, place.start, lists);
    this.#run(place, target, { fresh: () => undefined, sink });
    return coder.finish();
  }

  /**
   * @param models for a mixed group
   * @returns the bytes of the target, members compressed
   * @throws PanamaxError `bad-patch`
   */
  decode(place: GroupPlace, parts: StreamParts, operands: Uint8Array, models?: MixedModels): Uint8Array {
    const members = membersIn(this.#batch.members, place);
    const target = members.length === 0 ? new Uint8Array(place.size) : this.#program(place.size);
    if (models && (operands.length > 0 || parts.some((part, i) => i > MIXTURE && part.length > 0))) {
      throw new PanamaxError('bad-patch', 'a mixed group with parts that are not mixed');
    }
    const mixture = models && parts[MIXTURE]!.length > 0 ? new BitDecoder(parts[MIXTURE]!) : undefined;
    const sink = mixture
      ? new MixedSink(models!, mixture, target, place.start)
      : new GroupDecoder(parts, operands, target, place.start);
    const fresh = parts[FRESH]!;
    let used = 0;
    this.#run(place, target, {
      fresh: (at, size) => {
        if (used + size > fresh.length) throw new PanamaxError('bad-patch', 'too few new bytes for a group');
        target.set(fresh.subarray(used, used + size), at - place.start);
        used += size;
      },
      sink,
    });
    if (sink instanceof GroupDecoder) sink.finish();
    mixture?.checkEnd();
    if (used < fresh.length) throw new PanamaxError('bad-patch', 'too many new bytes for a group');
    return members.length === 0 ? target : assembled(place, target, members);
  }

  #program(size: number): Uint8Array {
    if (this.#workspace.program.length < size) this.#workspace.program = new Uint8Array(size);
    return this.#workspace.program.subarray(0, size);
  }

  #run({ start, size }: GroupPlace, target: Uint8Array, { fresh, sink }: Steps): void {
    const { operations } = this.#batch;
    const known = { bytes: target, start };
    const end = start + size;
    const mapped = this.#mapper();
    let at = start;
    for (let i = firstEndingAfter(operations.target, operations.length, start); i < operations.count; i++) {
      const from = Math.max(operations.target[i]!, start);
      const to = Math.min(operations.target[i]! + operations.length[i]!, end);
      if (from >= end) break;
      if (from > at) fresh(at, from - at);
      const distance = operations.source[i]! - operations.target[i]!;
      for (at = from; at < to;) {
        const source = at + distance;
        const length = Math.min(to - at, PIECE - (source % PIECE));
        this.#aligned({ source, target: at, length }, known, mapped, sink);
        at += length;
      }
    }
    if (at < end) fresh(at, end - at);
  }

  #aligned(
    { source, target, length }: FileStretch,
    known: { readonly bytes: Uint8Array; readonly start: number },
    mapped: (pair: FilePair) => MappedFile | undefined,
    sink: AlignedSink,
  ): void {
    const bytes = this.#read(source - CONTEXT, length + 2 * CONTEXT);
    const { files } = this.#batch;
    let done = 0;
    const plainUntil = (end: number) => {
      if (end > done) predictBlocks(bytes, source, target, done, end, known, this.#times, sink);
      done = Math.max(done, end);
    };
    for (let i = firstFile(files, target); i < files.length && files[i]!.target < target + length; i++) {
      const pair = files[i]!;
      const low = Math.max(target, pair.target, target + pair.source - source);
      const high = Math.min(
        target + length,
        pair.target + pair.size,
        target + pair.source + pair.sourceSize - source,
      );
      if (low >= high) continue;
      const file = mapped(pair);
      if (!file) continue;
      plainUntil(low - target);
      const skipped = low - target;
      predictExecutable(file, bytes.subarray(skipped), source + skipped, low, high - low, sink);
      done = high - target;
    }
    plainUntil(length);
  }

  /** Bytes of the source; zeros where it has none. */
  #read(from: number, size: number): Buffer {
    const bytes = this.#workspace.source.subarray(0, size);
    const low = Math.max(0, from);
    const high = Math.min(this.#source.size, from + size);
    bytes.fill(0, 0, low - from);
    bytes.fill(0, high - from);
    this.#source.read(bytes.subarray(low - from, high - from), low);
    return bytes;
  }

  /** Keeps the map of the last executable. A group never uses a map of another group. */
  #mapper(): (pair: FilePair) => MappedFile | undefined {
    let last: FilePair | undefined;
    let file: MappedFile | undefined;
    return (pair) => {
      if (pair === last) return file;
      last = pair;
      const table = this.#tableOf(pair);
      file = table && {
        elf: table.elf,
        map: new AddressMap(table),
        source: pair.source,
        target: pair.target,
        sourceSize: pair.sourceSize,
      };
      return file;
    };
  }

  #tableOf(pair: FilePair): AddressTable | undefined {
    if (this.#table?.pair === pair) return this.#table.table;
    const { source, sourceSize, segments } = pair;
    const elf =
      segments.length === 0 ? undefined : readElf(readerOf(this.#source, source, sourceSize), sourceSize);
    const table = elf && addressTable(elf, segments, stretchesOf(pair, this.#batch.operations));
    this.#table = { pair, table };
    return table;
  }
}

/** The bytes of a group in the target: its members are compressed. */
function assembled(place: GroupPlace, expanded: Uint8Array, members: readonly TargetMember[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const { at: start, size, codec } of members) {
    const from = start - place.start;
    parts.push(expanded.subarray(at, from), compressMember(expanded.subarray(from, from + size), codec));
    at = from + size;
  }
  return Buffer.concat([...parts, expanded.subarray(at)]);
}

/** @throws PanamaxError `bad-patch` where a member is cut by the group's border */
function membersIn(members: readonly TargetMember[], { start, size }: GroupPlace): TargetMember[] {
  const end = start + size;
  let [low, high] = [0, members.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (members[middle]!.at + members[middle]!.size > start) high = middle;
    else low = middle + 1;
  }
  let last = low;
  while (last < members.length && members[last]!.at < end) last++;
  const inside = members.slice(low, last);
  if (inside.some(({ at, size }) => at < start || at + size > end)) {
    throw new PanamaxError('bad-patch', 'a member is in two groups');
  }
  return inside;
}

export function readerOf(space: Space, start: number, size: number): ReadAt {
  return (offset, wanted) => {
    if (!(offset >= 0 && offset + wanted <= size)) return undefined;
    const bytes = Buffer.alloc(wanted);
    space.read(bytes, start + offset);
    return bytes;
  };
}

/** Predicts bytes outside of executables: block by block where the source has headers. */
function predictBlocks(
  bytes: Buffer,
  source: number,
  target: number,
  from: number,
  to: number,
  known: { readonly bytes: Uint8Array; readonly start: number },
  times: Times,
  sink: AlignedSink,
): void {
  let done = from;
  const plainUntil = (end: number) => {
    if (end > done) sink.plain(OTHER_BYTES, bytes, CONTEXT + done, target + done, end - done);
    done = end;
  };
  for (let at = from + ((BLOCK - ((source + from) % BLOCK)) % BLOCK); at + BLOCK <= to; at += BLOCK) {
    if (isHeader(bytes, CONTEXT + at)) {
      plainUntil(at);
      predictHeader(bytes, CONTEXT + at, target + at, known, times, sink);
      done = at + BLOCK;
    } else if (isPyc(bytes, CONTEXT + at)) {
      plainUntil(at);
      predictPyc(bytes, CONTEXT + at, target + at, times, sink);
      done = at + PYC_HEADER;
    }
  }
  plainUntil(to);
}

function firstFile(files: readonly FilePair[], offset: number): number {
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (files[middle]!.target + files[middle]!.size > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
