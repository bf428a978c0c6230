import { layerRanges, type LayerStream } from '../../image/layerstream.ts';
import type { MatchOptions } from './task.ts';
import { closeSync, openSync } from 'node:fs';
import type { TarRange } from '../../image/tar/file.ts';
import { type Alignments } from './alignment.ts';
import { findCounterparts, type Counterparts } from './counterpart.ts';
import { createCrew, sharesFor, type Crew } from './helpers.ts';
import { clipped, Draft, tidied } from './alignmentlist.ts';
import { joined, type DigestedListing, type Listing, type ListTask } from './listing.ts';
import { completed, findMoved, openRanges } from './moved.ts';
import { addSamples, freeSamples, type Samples } from './samples.ts';
import { findSimilar, strangersOf } from './similar.ts';
import { tableOf, type AlignTask, type StretchPair, type StretchTable } from './windows.ts';

/** Finds what of the target's layer stream resembles which places of the source's. */
export async function matchStreams(
  source: LayerStream,
  target: LayerStream,
  options: MatchOptions = {},
): Promise<Alignments> {
  const { effort = 'default', usable, signal } = options;
  await using crew = createCrew(signal);
  const { from, to, counterparts } = await pairStreams(source, target, crew, usable);
  const align = (pairs: StretchTable) => {
    const task: AlignTask = { source: source.path, target: target.path, pairs, next: newTicket(), effort };
    return crew.share('align', shares(task, pairs.size));
  };
  let sampled: Promise<Samples> | undefined;
  const samples = () => (sampled ??= sampleSource(source.path, from, crew, usable));
  const targetFd = openSync(target.path, 'r');
  try {
    const draft = new Draft();
    const strangers = strangersOf(to, counterparts.piece);
    const sampledFirst = strangers.length > 0 ? await samples() : undefined;
    function* stretches(): Generator<StretchPair, void> {
      yield* pairPieces(from, to, counterparts, draft);
      if (sampledFirst) yield* pairStrangers(from, { ...to, fd: targetFd }, strangers, sampledFirst);
    }
    for (const found of await align(tableOf(stretches()))) draft.append(found);
    let items = tidied(draft);
    const open = openRanges(items, sizeOf(to), sizeOf(from));
    if (open.length > 0) {
      const moved = findMoved(targetFd, open, await samples(), sizeOf(from));
      freeSamples(await samples());
      items = completed(items, await align(tableOf(moved)));
    }
    return usable ? clipped(items, usable) : items;
  } finally {
    closeSync(targetFd);
  }
}

function sizeOf({ start, count }: Listing): number {
  return start[count]!;
}

/** Samples of all that may be copied from. */
async function sampleSource(
  path: string,
  listing: Listing,
  crew: Crew,
  usable: Float64Array | undefined,
): Promise<Samples> {
  const size = sizeOf(listing);
  const count = sharesFor(size);
  const tasks = Array.from({ length: count }, (_, i) => ({
    path,
    listing,
    part: [Math.floor((size * i) / count), Math.floor((size * (i + 1)) / count)] as const,
    usable,
  }));
  const [first, ...others] = await crew.share('sample', tasks);
  for (const later of others) {
    addSamples(first!, later);
    freeSamples(later);
  }
  return first!;
}

interface PairedStreams {
  readonly from: Listing;
  readonly to: Listing;
  readonly counterparts: Counterparts;
}

/** What is listed and paired by digests, which are not needed from then on. */
async function pairStreams(
  source: LayerStream,
  target: LayerStream,
  crew: Crew,
  usable: Float64Array | undefined,
): Promise<PairedStreams> {
  const [from, to] = await listStreams([source, target], crew);
  return {
    from: { count: from.count, start: from.start, body: from.body },
    to: { count: to.count, start: to.start, body: to.body },
    counterparts: findCounterparts(from, to, usable),
  };
}

/** Enters heads and identical bodies into the draft; yields bodies that have to be compared. */
function* pairPieces(
  from: Listing,
  to: Listing,
  counterparts: Counterparts,
  draft: Draft,
): Generator<StretchPair, void> {
  for (let i = 0; i < to.count; i++) {
    const j = counterparts.piece[i]!;
    if (j < 0) continue;
    const head = Math.min(to.body[i]! - to.start[i]!, from.body[j]! - from.start[j]!);
    draft.push(to.body[i]! - head, from.body[j]! - head, head, counterparts.sameHead[i]!);
    const body = to.start[i + 1]! - to.body[i]!;
    if (counterparts.same[i] === 1) {
      draft.push(to.body[i]!, from.body[j]!, body, 1);
      continue;
    }
    yield {
      source: { start: from.body[j]!, end: from.start[j + 1]! },
      target: { start: to.body[i]!, end: to.start[i + 1]! },
    };
  }
}

/** What has no counterpart by name or content, with the stretch of the source that is most like it. */
function* pairStrangers(
  from: Listing,
  to: Listing & { readonly fd: number },
  strangers: readonly number[],
  samples: Samples,
): Generator<StretchPair, void> {
  for (const [i, { start, end }] of findSimilar(from, to, strangers, samples)) {
    yield {
      source: { start: Math.floor(start), end: Math.floor(end) },
      target: { start: to.body[i]!, end: to.start[i + 1]! },
      // only the best matches are worth looking for
      effort: 'fast',
    };
  }
}

/** Lists layer streams in threads, the largest layers first; layers with the same diffID but once. */
async function listStreams(
  streams: readonly [LayerStream, LayerStream],
  crew: Crew,
): Promise<[DigestedListing, DigestedListing]> {
  const layers = new Map<string, TarRange>();
  const names = streams.map((stream, side) =>
    layerRanges(stream).map((range, i) => {
      const name = stream.diffIDs?.[i] ?? `${side}/${i}`;
      if (!layers.has(name)) layers.set(name, range);
      return name;
    }),
  );
  const order = [...layers].toSorted(([, a], [, b]) => b.end - b.start - (a.end - a.start));
  const task: ListTask = { layers: order.map(([, layer]) => layer), next: newTicket() };
  const size = task.layers.reduce((sum, { start, end }) => sum + end - start, 0);
  const listings = new Map<string, DigestedListing>();
  for (const part of await crew.share('list', shares(task, size))) {
    for (const [i, listing] of part) listings.set(order[i]![0], listing);
  }
  return names.map((names) => joined(names.map((name) => listings.get(name)!))) as [
    DigestedListing,
    DigestedListing,
  ];
}

/** The index of what of a task is to be done next, for all threads. */
function newTicket(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** A task of which each thread takes until nothing is left. */
function shares<Task>(task: Task, size: number): Task[] {
  return Array.from({ length: sharesFor(size) }, () => task);
}
