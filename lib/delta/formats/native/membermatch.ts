import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../../digest.ts';
import { alignInThread } from '../../align/align.ts';
import type { Alignments, Effort } from '../../align/alignment.ts';
import type { Inflated } from './gzipmembers.ts';
import { BLOCK } from './headers.ts';

/** Contents of members are matched as files of two tars, which the matcher pairs by their paths. */

/** Contents in a tar, ascending. */
interface Placed {
  readonly start: number;
  readonly size: number;
}

/** An alignment of a target's member with a source's: offsets within the contents. */
export interface MemberAlignment {
  readonly targetMember: number;
  readonly sourceMember: number;
  readonly target: number;
  readonly source: number;
  readonly length: number;
  readonly exact: number;
}

/** @param scratch a directory for the tars */
export async function matchMembers(
  source: readonly Inflated[],
  target: readonly Inflated[],
  {
    scratch,
    effort,
    signal,
  }: { readonly scratch: string; readonly effort: Effort; readonly signal?: AbortSignal },
): Promise<MemberAlignment[]> {
  if (source.length === 0 || target.length === 0) return [];
  const from = writeTar(source, join(scratch, 'source-members'));
  const to = writeTar(target, join(scratch, 'target-members'));
  const items = await alignInThread(from, to, { effort, ...(signal && { signal }) });
  return [...cut(items, from.contents, to.contents)];
}

function writeTar(members: readonly Inflated[], path: string) {
  const fd = openSync(path, 'wx');
  const contents: Placed[] = [];
  let at = 0;
  const add = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
    at += bytes.length;
  };
  try {
    for (const { path, content } of members) {
      add(headerFor(path, content.length));
      contents.push({ start: at, size: content.length });
      add(content);
      add(Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
    }
    add(Buffer.alloc(2 * BLOCK));
  } finally {
    closeSync(fd);
  }
  // a name that no layer has
  const diffID: Digest = `sha256:${createHash('sha256').update(path).digest('hex')}`;
  return { record: { layers: [{ diffID }] as never }, stream: { path, layerSizes: [at] }, contents };
}

/** A ustar header. Directories become digests: they fit, and the matcher compares them as a whole. */
function headerFor(path: string, size: number): Buffer {
  const slash = path.lastIndexOf('/');
  const directory = createHash('sha256')
    .update(path.slice(0, slash + 1))
    .digest('hex')
    .slice(0, 32);
  const header = Buffer.alloc(BLOCK);
  header.write(`${directory}/${path.slice(slash + 1).slice(-60)}`, 0, 'latin1');
  header.write('0000644\x000000000\x000000000\0', 100, 'latin1');
  header.write(`${size.toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0`, 124, 'latin1');
  header.write('        0', 148, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** Alignments in parts that are each within one member on either side. */
function* cut(
  items: Alignments,
  source: readonly Placed[],
  target: readonly Placed[],
): Generator<MemberAlignment, void> {
  for (let i = 0; i < items.count; i++) {
    const end = items.target[i]! + items.length[i]!;
    const distance = items.source[i]! - items.target[i]!;
    for (let t = firstEnding(target, items.target[i]!); t < target.length && target[t]!.start < end; t++) {
      const low = Math.max(items.target[i]!, target[t]!.start);
      const high = Math.min(end, target[t]!.start + target[t]!.size);
      for (
        let s = firstEnding(source, low + distance);
        s < source.length && source[s]!.start < high + distance;
        s++
      ) {
        const from = Math.max(low + distance, source[s]!.start);
        const to = Math.min(high + distance, source[s]!.start + source[s]!.size);
        if (from >= to) continue;
        yield {
          targetMember: t,
          sourceMember: s,
          target: from - distance - target[t]!.start,
          source: from - source[s]!.start,
          length: to - from,
          exact: items.exact[i]!,
        };
      }
    }
  }
}

function firstEnding(places: readonly Placed[], offset: number): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle]!.start + places[middle]!.size > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
