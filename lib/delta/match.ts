import { closeSync, openSync } from 'node:fs';
import type { Alignments, Effort, LayerStream } from './alignment.ts';
import { alignBuffers } from './match/align.ts';
import { findCounterparts } from './match/counterpart.ts';
import { clipped, Draft, tidied } from './match/draft.ts';
import { listStream } from './match/listing.ts';
import { partAt, readRanges, toRanges } from './match/ranges.ts';
import type { Ranges } from './match/ranges.ts';

export interface MatchOptions {
  readonly effort?: Effort;
  readonly signal?: AbortSignal;
  /**
   * The only parts of the source's layer stream that may be copied from, as offsets
   * [start, end, start, end, …], ascending and disjoint. By default all of it.
   */
  readonly usable?: Float64Array;
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
  const draft = new Draft();
  const sourceFd = openSync(source.path, 'r');
  const targetFd = openSync(target.path, 'r');
  const pairs: [number[], number[]][] = [];
  for (let i = 0; i < to.count; i++) {
    const j = counterparts.piece[i]!;
    if (j < 0) continue;
    const head = Math.min(to.body[i]! - to.start[i]!, from.body[j]! - from.start[j]!);
    const equalHeads = to.headDigest[i] === from.headDigest[j];
    draft.push(to.body[i]! - head, from.body[j]! - head, head, equalHeads ? 1 : 0);
    const body = to.start[i + 1]! - to.body[i]!;
    if (counterparts.same[i] === 1) draft.push(to.body[i]!, from.body[j]!, body, 1);
    else
      pairs.push([
        [from.body[j]!, from.start[j + 1]!],
        [to.body[i]!, to.start[i + 1]!],
      ]);
  }
  for (const [s, t] of pairs) {
    options.signal?.throwIfAborted();
    const sr = toRanges(s);
    const tr = toRanges(t);
    mapped(alignBuffers(readRanges(sourceFd, sr), readRanges(targetFd, tr)), sr, tr, draft);
  }
  closeSync(sourceFd);
  closeSync(targetFd);
  const items = tidied(draft.view());
  return options.usable ? clipped(items, options.usable) : items;
}

/** Buffer offsets become file offsets; what spans parts is cut at their borders. */
function mapped(items: Draft, source: Ranges, target: Ranges, out: Draft): void {
  for (let i = 0; i < items.count; i++) {
    let t = items.target[i]!;
    let s = items.source[i]!;
    const end = t + items.length[i]!;
    while (t < end) {
      const tp = partAt(target, t);
      const sp = partAt(source, s);
      const length = Math.min(end - t, target.bufferStart[tp + 1]! - t, source.bufferStart[sp + 1]! - s);
      out.push(
        target.fileStart[tp]! + t - target.bufferStart[tp]!,
        source.fileStart[sp]! + s - source.bufferStart[sp]!,
        length,
        items.exact[i]!,
      );
      t += length;
      s += length;
    }
  }
}
