import { closeSync, openSync } from 'node:fs';
import type { ImageRecord } from '../oci/record.ts';
import type { TarRange } from '../tar/file.ts';
import { runThread, threadModule } from '../thread.ts';
import { layerRanges, type Alignments, type Effort, type LayerStream } from './alignment.ts';
import { findCounterparts, isUsable, type Counterparts } from './match/counterpart.ts';
import { clipped, Draft, tidied } from './match/draft.ts';
import { joined, listLayers, type DigestedListing, type Listing, type ListTask } from './match/listing.ts';
import { completed, findMoved, openRanges } from './match/moved.ts';
import { sampleRanges, SPACING, type Range, type Samples } from './match/samples.ts';
import { findSimilar } from './match/sketch.ts';
import { alignPairs, targetSize, windowsOf, type AlignTask, type StretchPair } from './match/stretch.ts';
import type { MatchTask } from './match/thread.ts';

export interface MatchOptions {
  readonly effort?: Effort;
  readonly signal?: AbortSignal;
  /**
   * The only parts of the source's layer stream that may be copied from, as offsets
   * [start, end, start, end, …], ascending and disjoint. By default all of it.
   */
  readonly usable?: Float64Array;
}

/** An image whose layer stream is on disk. */
interface StoredImage {
  readonly record: Pick<ImageRecord, 'layers'>;
  readonly stream: LayerStream;
}

/** Does `matchStreams` in a thread of its own, with what is known of the images. */
export function matchInThread(
  source: StoredImage,
  target: StoredImage,
  { signal, ...options }: MatchOptions,
): Promise<Alignments> {
  const task: MatchTask = { source: named(source), target: named(target), options };
  return runThread(threadModule('match/thread', import.meta.url), task, signal);
}

function named({ record, stream }: StoredImage): LayerStream {
  return { ...stream, diffIDs: record.layers.map(({ diffID }) => diffID) };
}

/** Finds what of the target's layer stream resembles which places of the source's. */
export async function matchStreams(
  source: LayerStream,
  target: LayerStream,
  options: MatchOptions = {},
): Promise<Alignments> {
  const { from, to, counterparts } = await pairStreams(source, target, options);
  const sourceFd = openSync(source.path, 'r');
  const targetFd = openSync(target.path, 'r');
  try {
    let sampled: Samples | undefined;
    const samples = () => (sampled ??= sampleRanges(sourceFd, bodiesOf(from, options.usable)));
    const draft = new Draft();
    const stretches = [
      ...pairPieces(from, to, counterparts, draft),
      ...pairStrangers(from, { ...to, fd: targetFd }, counterparts, samples),
    ];
    for (const found of await alignStretches(source, target, stretches, options)) draft.append(found);
    let items = tidied(draft);
    const open = openRanges(items, sizeOf(to), sizeOf(from));
    if (open.length > 0) {
      const moved = findMoved(targetFd, open, samples(), sizeOf(from));
      items = completed(items, await alignStretches(source, target, moved, options));
    }
    return options.usable ? clipped(items, options.usable) : items;
  } finally {
    closeSync(sourceFd);
    closeSync(targetFd);
  }
}

function sizeOf({ start, count }: Listing): number {
  return start[count]!;
}

/** Shorter bodies have hardly a sample. */
const MIN_SAMPLED = 2 * SPACING;

/** The bodies of the source that may be copied from, as ranges. */
function* bodiesOf(
  { start, body, count }: Listing,
  usable: Float64Array | undefined,
): Generator<Range, void> {
  for (let i = 0; i < count; i++) {
    if (start[i + 1]! - body[i]! >= MIN_SAMPLED && isUsable(usable, body[i]!))
      yield [body[i]!, start[i + 1]!];
  }
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
  options: MatchOptions,
): Promise<PairedStreams> {
  const [from, to] = await listStreams([source, target], options);
  return {
    from: { count: from.count, start: from.start, body: from.body },
    to: { count: to.count, start: to.start, body: to.body },
    counterparts: findCounterparts(from, to, options.usable),
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
  { piece }: Counterparts,
  samples: () => Samples,
): Generator<StretchPair, void> {
  const wanted: number[] = [];
  for (const [i, counterpart] of piece.entries()) if (counterpart < 0) wanted.push(i);
  for (const [i, { start, end }] of findSimilar(from, to, wanted, samples)) {
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
  { signal }: MatchOptions,
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
  for (const part of await inThreads('match/listthread', task, listLayers, size, signal)) {
    for (const [i, listing] of part) listings.set(order[i]![0], listing);
  }
  return names.map((names) => joined(names.map((name) => listings.get(name)!))) as [
    DigestedListing,
    DigestedListing,
  ];
}

/**
 * Aligns stretches in threads, the largest first, so that none is left alone at the end. What comes out does not depend
 * on who did what.
 */
async function alignStretches(
  source: LayerStream,
  target: LayerStream,
  stretches: readonly StretchPair[],
  { effort = 'default', signal }: MatchOptions,
): Promise<Alignments[]> {
  const pairs = stretches.flatMap(windowsOf).toSorted((a, b) => targetSize(b) - targetSize(a));
  const total = pairs.reduce((sum, pair) => sum + targetSize(pair), 0);
  const task: AlignTask = { source: source.path, target: target.path, pairs, next: newTicket(), effort };
  return inThreads('match/alignthread', task, alignPairs, total, signal);
}

/** Threads that work on one thing, and from how many bytes on it takes more than one: each takes up to 120 MiB. */
const THREADS = 2;
const MIN_SHARED = 8 * 1024 ** 2;

/** The index of what of a task is to be done next, for all threads. */
function newTicket(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** Does a task here and in other threads at once: each takes of it until nothing is left. */
async function inThreads<Task, Result>(
  name: string,
  task: Task,
  work: (task: Task) => Result | Promise<Result>,
  size: number,
  signal?: AbortSignal,
): Promise<Result[]> {
  const module = threadModule(name, import.meta.url);
  const others = Array.from({ length: size < MIN_SHARED ? 0 : THREADS - 1 }, () =>
    runThread<Task, Result>(module, task, signal),
  );
  const elsewhere = Promise.all(others);
  // who awaits it comes later
  elsewhere.catch(() => undefined);
  const here = await work(task);
  return [here, ...(await elsewhere)];
}
