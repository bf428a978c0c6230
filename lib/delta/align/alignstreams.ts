import { layerRanges, type LayerStream } from '../../image/layerstream.ts';
import type { AlignOptions } from './task.ts';
import { createOpenFiles, type Space } from '../../runtime/space.ts';
import type { TarRange } from '../../image/tar/file.ts';
import { type Alignments } from './alignment.ts';
import { findCounterparts, type Counterparts } from './counterpart.ts';
import { createWorkerThreads, sharesFor, type WorkerThreads } from './workerthreads.ts';
import { clip, AlignmentBuilder, sortAndMerge } from './alignmentlist.ts';
import { joined, type DigestedListing, type Listing, type ListTask } from './listing.ts';
import { withMoved, findMoved, openRanges } from './moved.ts';
import { freeSamples, sampleStream, type Samples } from './samples.ts';
import { findSimilar, unmatchedPieces } from './similar.ts';
import { tableOf, type AlignTask, type StretchPair, type StretchTable } from './windows.ts';

/** Aligns the target's layer stream with the source's: finds similar places of the two. */
export async function alignStreams(
  source: LayerStream,
  target: LayerStream,
  options: AlignOptions = {},
): Promise<Alignments> {
  const { effort = 'default', usable, signal } = options;
  await using threads = createWorkerThreads(signal);
  const { from, to, counterparts } = await pairStreams(source, target, threads, usable);
  const align = (pairs: StretchTable) => {
    const task: AlignTask = { source: source.parts, target: target.parts, pairs, next: newTicket(), effort };
    return threads.run('align', shares(task, pairs.size));
  };
  let sampled: Samples | undefined;
  // in this thread alone: the tables of another one would take as much memory as they save time
  const samples = () => (sampled ??= sampleStream(source.parts, from, usable));
  using files = createOpenFiles();
  const space = files.space(target.parts);
  let items: Alignments;
  let moved: StretchPair[] | undefined;
  try {
    const builder = new AlignmentBuilder();
    const unmatched = unmatchedPieces(to, counterparts.piece);
    const sampledFirst = unmatched.length > 0 ? samples() : undefined;
    function* stretches(): Generator<StretchPair, void> {
      yield* pairPieces(from, to, counterparts, builder);
      if (sampledFirst) yield* pairUnmatched(from, { ...to, space }, unmatched, sampledFirst);
    }
    for (const found of await align(tableOf(stretches()))) builder.append(found);
    items = sortAndMerge(builder);
    const open = openRanges(items, sizeOf(to), sizeOf(from));
    if (open.length > 0) {
      await threads.rest();
      moved = findMoved(space, open, samples(), sizeOf(from));
    }
  } finally {
    if (sampled) freeSamples(sampled);
  }
  if (moved) items = withMoved(items, await align(tableOf(moved)));
  return usable ? clip(items, usable) : items;
}

function sizeOf({ start, count }: Listing): number {
  return start[count]!;
}

interface PairedStreams {
  readonly from: Listing;
  readonly to: Listing;
  readonly counterparts: Counterparts;
}

/** Lists and pairs the pieces of both streams. The digests that pairing needs are dropped. */
async function pairStreams(
  source: LayerStream,
  target: LayerStream,
  threads: WorkerThreads,
  usable: Float64Array | undefined,
): Promise<PairedStreams> {
  const [from, to] = await listStreams([source, target], threads);
  return {
    from: { count: from.count, start: from.start, body: from.body },
    to: { count: to.count, start: to.start, body: to.body },
    counterparts: findCounterparts(from, to, usable),
  };
}

/** Adds heads and identical bodies to the alignments; yields bodies that have to be compared. */
function* pairPieces(
  from: Listing,
  to: Listing,
  counterparts: Counterparts,
  builder: AlignmentBuilder,
): Generator<StretchPair, void> {
  for (let i = 0; i < to.count; i++) {
    const j = counterparts.piece[i]!;
    if (j < 0) continue;
    const head = Math.min(to.body[i]! - to.start[i]!, from.body[j]! - from.start[j]!);
    builder.push(to.body[i]! - head, from.body[j]! - head, head, counterparts.sameHead[i]!);
    const body = to.start[i + 1]! - to.body[i]!;
    if (counterparts.same[i] === 1) {
      builder.push(to.body[i]!, from.body[j]!, body, 1);
      continue;
    }
    yield {
      source: { start: from.body[j]!, end: from.start[j + 1]! },
      target: { start: to.body[i]!, end: to.start[i + 1]! },
    };
  }
}

/** Pairs pieces that have no counterpart by name or content with the most similar stretch of the source. */
function* pairUnmatched(
  from: Listing,
  to: Listing & { readonly space: Space },
  unmatched: readonly number[],
  samples: Samples,
): Generator<StretchPair, void> {
  for (const [i, { start, end }] of findSimilar(from, to, unmatched, samples)) {
    yield {
      source: { start: Math.floor(start), end: Math.floor(end) },
      target: { start: to.body[i]!, end: to.start[i + 1]! },
      // only the best matches pay
      effort: 'fast',
    };
  }
}

/** Lists layer streams in threads, the largest layers first; layers with equal diffIDs are listed once. */
async function listStreams(
  streams: readonly [LayerStream, LayerStream],
  threads: WorkerThreads,
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
  for (const part of await threads.run('list', shares(task, size))) {
    for (const [i, listing] of part) listings.set(order[i]![0], listing);
  }
  return names.map((names) => joined(names.map((name) => listings.get(name)!))) as [
    DigestedListing,
    DigestedListing,
  ];
}

/** A counter that all threads share: the index of a task's next item. */
function newTicket(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** One task for several threads, each of which takes items until none is left. */
function shares<Task>(task: Task, size: number): Task[] {
  return Array.from({ length: sharesFor(size) }, () => task);
}
