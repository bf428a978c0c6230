import { closeSync, openSync, readSync } from 'node:fs';
import { runThread, threadModule } from '../thread.ts';
import type { Alignments, Effort, LayerStream } from './alignment.ts';
import { alignBuffers } from './match/align.ts';
import { findCounterparts, isUsable, type Counterparts } from './match/counterpart.ts';
import { clipped, Draft, tidied } from './match/draft.ts';
import { listStream, type Listing } from './match/listing.ts';
import type { MatchTask } from './match/thread.ts';
import { findSimilar, type Similar } from './match/sketch.ts';

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
  const from = listStream(source);
  const to = listStream(target);
  const counterparts = findCounterparts(from, to, options.usable);
  const sourceFd = openSync(source.path, 'r');
  const targetFd = openSync(target.path, 'r');
  try {
    const wanted = [...counterparts.piece.keys()].filter((i) => counterparts.piece[i]! < 0);
    const similar = findSimilar({ ...from, fd: sourceFd }, { ...to, fd: targetFd }, wanted, (i) =>
      isUsable(options.usable, from.body[i]!),
    );
    const items = tidied(
      matchPieces(from, to, counterparts, similar, { sourceFd, targetFd }, options).view(),
    );
    return options.usable ? clipped(items, options.usable) : items;
  } finally {
    closeSync(sourceFd);
    closeSync(targetFd);
  }
}

function matchPieces(
  from: Listing,
  to: Listing,
  counterparts: Counterparts,
  similar: ReadonlyMap<number, Similar>,
  { sourceFd, targetFd }: { readonly sourceFd: number; readonly targetFd: number },
  options: MatchOptions,
): Draft {
  const draft = new Draft();
  const files: FilePair[] = [];
  for (let i = 0; i < to.count; i++) {
    const j = counterparts.piece[i]!;
    if (j < 0) {
      const stretch = similar.get(i);
      if (stretch) {
        files.push({
          source: { start: Math.floor(stretch.start), end: Math.floor(stretch.end) },
          target: { start: to.body[i]!, end: to.start[i + 1]! },
          effort: 'fast',
        });
      }
      continue;
    }
    const head = Math.min(to.body[i]! - to.start[i]!, from.body[j]! - from.start[j]!);
    const equalHeads = to.headDigest[i] === from.headDigest[j];
    draft.push(to.body[i]! - head, from.body[j]! - head, head, equalHeads ? 1 : 0);
    const body = to.start[i + 1]! - to.body[i]!;
    if (counterparts.same[i] === 1) draft.push(to.body[i]!, from.body[j]!, body, 1);
    else {
      files.push({
        source: { start: from.body[j]!, end: from.start[j + 1]! },
        target: { start: to.body[i]!, end: to.start[i + 1]! },
      });
    }
  }
  for (const file of files) {
    const effort = file.effort ?? options.effort;
    for (const { source, target } of windowsOf(file)) {
      options.signal?.throwIfAborted();
      const items = alignBuffers(readRange(sourceFd, source), readRange(targetFd, target), effort);
      for (let i = 0; i < items.count; i++) {
        draft.push(target.start + items.target[i]!, source.start + items.source[i]!, items.length[i]!, 0);
      }
    }
  }
  return draft;
}

/** Part of a layer stream. */
interface Range {
  readonly start: number;
  readonly end: number;
}

interface FilePair {
  /** Of strangers only the best matches are worth looking for. */
  readonly effort?: Effort;
  readonly source: Range;
  readonly target: Range;
}

/** Larger files are matched in windows of half this, each against so much of the source. In bytes. */
const MAX_MATCHED = 112 * 1024 ** 2;

/** A pair of files in parts that fit memory: stretches of the target, each with what of the source is about there. */
function* windowsOf(file: FilePair): Generator<FilePair, void> {
  const { source, target } = file;
  const size = target.end - target.start;
  const sourceSize = source.end - source.start;
  if (size <= MAX_MATCHED && sourceSize <= MAX_MATCHED) {
    yield file;
    return;
  }
  for (let at = 0; at < size; at += MAX_MATCHED / 2) {
    const end = Math.min(size, at + MAX_MATCHED / 2);
    const middle = Math.round((sourceSize * (at + end)) / 2 / size);
    const low = Math.max(0, Math.min(middle - MAX_MATCHED / 2, sourceSize - MAX_MATCHED));
    const high = Math.min(sourceSize, low + MAX_MATCHED);
    yield {
      source: { start: source.start + low, end: source.start + high },
      target: { start: target.start + at, end: target.start + end },
    };
  }
}

function readRange(fd: number, { start, end }: Range): Uint8Array {
  const buffer = new Uint8Array(end - start);
  for (let at = 0; at < buffer.length;) {
    const got = readSync(fd, buffer, at, buffer.length - at, start + at);
    if (got === 0) throw new Error('the stream is shorter than its layers');
    at += got;
  }
  return buffer;
}
