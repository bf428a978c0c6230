import { closeSync, openSync } from 'node:fs';
import { runThread, threadModule } from '../thread.ts';
import type { Alignments, Effort, LayerStream } from './alignment.ts';
import { findCounterparts, isUsable, type Counterparts } from './match/counterpart.ts';
import { clipped, Draft, tidied } from './match/draft.ts';
import { listStream, type Listing } from './match/listing.ts';
import { findSimilar } from './match/sketch.ts';
import { alignPairs, sizeOf, windowsOf, type AlignTask, type StretchPair } from './match/stretch.ts';
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

/** Does `matchStreams` in a thread of its own. */
export function matchInThread(
  source: LayerStream,
  target: LayerStream,
  { signal, ...options }: MatchOptions,
): Promise<Alignments> {
  const task: MatchTask = { source, target, options };
  return runThread(threadModule('match/thread', import.meta.url), task, signal);
}

/** Finds what of the target's layer stream resembles which places of the source's. */
export async function matchStreams(
  source: LayerStream,
  target: LayerStream,
  options: MatchOptions = {},
): Promise<Alignments> {
  const [from, to] = await Promise.all([
    runThread<LayerStream, Listing>(
      threadModule('match/listthread', import.meta.url),
      source,
      options.signal,
    ),
    listStream(target),
  ]);
  const counterparts = findCounterparts(from, to, options.usable);
  const draft = new Draft();
  const stretches = [
    ...pairPieces(from, to, counterparts, draft),
    ...pairStrangers(source, target, from, to, counterparts, options),
  ];
  for (const found of await alignStretches(source, target, stretches, options)) draft.append(found);
  const items = tidied(draft.items());
  return options.usable ? clipped(items, options.usable) : items;
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
    const equalHeads = to.headDigest[i] === from.headDigest[j];
    draft.push(to.body[i]! - head, from.body[j]! - head, head, equalHeads ? 1 : 0);
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
  source: LayerStream,
  target: LayerStream,
  from: Listing,
  to: Listing,
  { piece }: Counterparts,
  { usable }: MatchOptions,
): Generator<StretchPair, void> {
  const wanted = [...piece.keys()].filter((i) => piece[i]! < 0);
  const sourceFd = openSync(source.path, 'r');
  const targetFd = openSync(target.path, 'r');
  try {
    const similar = findSimilar({ ...from, fd: sourceFd }, { ...to, fd: targetFd }, wanted, (i) =>
      isUsable(usable, from.body[i]!),
    );
    for (const [i, { start, end }] of similar) {
      yield {
        source: { start: Math.floor(start), end: Math.floor(end) },
        target: { start: to.body[i]!, end: to.start[i + 1]! },
        // only the best matches are worth looking for
        effort: 'fast',
      };
    }
  } finally {
    closeSync(sourceFd);
    closeSync(targetFd);
  }
}

/** Threads that align, and from how many bytes on it takes more than one: each takes up to 120 MiB. */
const THREADS = 2;
const MIN_SHARED = 8 * 1024 ** 2;

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
  const pairs = stretches.flatMap(windowsOf).toSorted((a, b) => sizeOf(b) - sizeOf(a));
  const total = pairs.reduce((sum, pair) => sum + sizeOf(pair), 0);
  const next = new Int32Array(new SharedArrayBuffer(4));
  const task: AlignTask = { source: source.path, target: target.path, pairs, next, effort };
  const module = threadModule('match/alignthread', import.meta.url);
  const others = Array.from({ length: total < MIN_SHARED ? 0 : THREADS - 1 }, () =>
    runThread<AlignTask, Alignments>(module, task, signal),
  );
  const elsewhere = Promise.all(others);
  // who awaits it comes later
  elsewhere.catch(() => undefined);
  const here = alignPairs(task);
  return [here, ...(await elsewhere)];
}
