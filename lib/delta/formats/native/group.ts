import { PanamaxError } from '../../../errors.ts';
import { AddressMap, type FileStretch } from './addressmap.ts';
import { firstEndingAfter, stretchesOf } from './stretches.ts';
import { CONTEXT, predictExecutable, type AlignedSink, type MappedFile } from './aligned.ts';
import type { Batch, FilePair, TargetMember } from './batch.ts';
import { readElf, type Elf, type ReadAt } from './elf.ts';
import { BLOCK, isHeader, isPyc, predictHeader, predictPyc, PYC_HEADER, type Times } from './headers.ts';
import { compressMember } from './member.ts';
import { GroupDecoder, GroupEncoder } from './sinks.ts';
import type { Space } from './space.ts';
import { FRESH, OTHER_BYTES, type StreamParts } from './streams.ts';

/** Executables of the source that are kept at once. */
const MAX_ELVES = 8;

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
  /** By places in the source. */
  readonly #elves = new Map<string, Elf | undefined>();
  #scratch = Buffer.alloc(64 * 1024);

  constructor(batch: Batch, source: Space) {
    this.#batch = batch;
    this.#source = source;
    this.#times = new Map(batch.times);
  }

  /** @param target bytes of the group in the target program */
  encode(place: GroupPlace, target: Uint8Array): { parts: Uint8Array[]; operands: Uint8Array } {
    const sink = new GroupEncoder(target, place.start);
    const fresh: Uint8Array[] = [];
    this.#run(place, target, {
      fresh: (at, size) => fresh.push(target.subarray(at - place.start, at - place.start + size)),
      sink,
    });
    const parts = sink.parts();
    parts[FRESH] = Buffer.concat(fresh);
    return { parts, operands: sink.operands() };
  }

  /**
   * @returns the bytes of the target, members compressed
   * @throws PanamaxError `bad-patch`
   */
  decode(place: GroupPlace, parts: StreamParts, operands: Uint8Array): Uint8Array {
    const target = new Uint8Array(place.size);
    const sink = new GroupDecoder(parts, operands, target, place.start);
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
    sink.finish();
    if (used < fresh.length) throw new PanamaxError('bad-patch', 'too many new bytes for a group');
    return this.#assemble(place, target);
  }

  #run({ start, size }: GroupPlace, target: Uint8Array, { fresh, sink }: Steps): void {
    const { operations } = this.#batch;
    const known = { bytes: target, start };
    const end = start + size;
    const maps = new Map<FilePair, MappedFile | undefined>();
    let at = start;
    for (let i = firstEndingAfter(operations.target, operations.length, start); i < operations.count; i++) {
      const from = Math.max(operations.target[i]!, start);
      const to = Math.min(operations.target[i]! + operations.length[i]!, end);
      if (from >= end) break;
      if (from > at) fresh(at, from - at);
      const source = operations.source[i]! + (from - operations.target[i]!);
      this.#aligned({ source, target: from, length: to - from }, known, maps, sink);
      at = to;
    }
    if (at < end) fresh(at, end - at);
  }

  #aligned(
    { source, target, length }: FileStretch,
    known: { readonly bytes: Uint8Array; readonly start: number },
    maps: Map<FilePair, MappedFile | undefined>,
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
      if (!maps.has(pair)) maps.set(pair, this.#mapped(pair));
      const file = maps.get(pair);
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
    if (this.#scratch.length < size) this.#scratch = Buffer.alloc(2 * size);
    const bytes = this.#scratch.subarray(0, size);
    const low = Math.max(0, from);
    const high = Math.min(this.#source.size, from + size);
    bytes.fill(0, 0, low - from);
    bytes.fill(0, high - from);
    this.#source.read(bytes.subarray(low - from, high - from), low);
    return bytes;
  }

  #mapped(pair: FilePair): MappedFile | undefined {
    const elf = this.#elf(pair);
    if (!elf || pair.segments.length === 0) return undefined;
    const map = new AddressMap(elf, pair.segments, stretchesOf(pair, this.#batch.operations));
    return { elf, map, source: pair.source, target: pair.target, sourceSize: pair.sourceSize };
  }

  #elf({ source, sourceSize }: FilePair): Elf | undefined {
    const key = `${source} ${sourceSize}`;
    if (!this.#elves.has(key)) {
      if (this.#elves.size === MAX_ELVES) this.#elves.clear();
      this.#elves.set(key, readElf(readerOf(this.#source, source, sourceSize), sourceSize));
    }
    return this.#elves.get(key);
  }

  #assemble(place: GroupPlace, expanded: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const { at: start, size, codec } of membersIn(this.#batch.members, place)) {
      const from = start - place.start;
      parts.push(expanded.subarray(at, from), compressMember(expanded.subarray(from, from + size), codec));
      at = from + size;
    }
    return at === 0 ? expanded : Buffer.concat([...parts, expanded.subarray(at)]);
  }
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
