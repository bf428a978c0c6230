import type { Alignments } from '../alignment.ts';
import type { RandomAccess } from '../vcdiff/randomaccess.ts';
import { DifferenceWriter } from './differencewriter.ts';
import { DATA, OPEN, SEEK } from './format.ts';
import { OpWriter } from './opwriter.ts';
import type { SourceFile, SourceFiles } from './sourcefiles.ts';

/** Bytes read at a time, and about the size of what is yielded. */
const PIECE_SIZE = 256 * 1024;
/** Shorter alignments are not worth a SEEK and a COPY. */
const MIN_RUN = 16;
/** What an OPEN costs beyond that, after compression: its path mostly stands in the tar header before. */
const OPEN_COST = 16;
/** Two alignments at one distance with no more than this between them become one. */
const MAX_BRIDGE = 64;

export interface LayerPlan {
  /** Layer streams. */
  readonly source: RandomAccess;
  readonly target: RandomAccess;
  readonly sourceFiles: SourceFiles;
  readonly alignments: Alignments;
  /** The layer, as a part of the target's layer stream. */
  readonly start: number;
  readonly end: number;
}

/** Yields the operations that build one layer of the target from files of the source, in pieces. */
export async function* planLayer(plan: LayerPlan): AsyncGenerator<Uint8Array, void, void> {
  const { source, target, sourceFiles, alignments, start, end } = plan;
  const out = new OpWriter();
  const differences = new DifferenceWriter(out);
  const sourcePiece = new Uint8Array(PIECE_SIZE);
  const targetPiece = new Uint8Array(PIECE_SIZE);
  let file: SourceFile | undefined;
  /** Where the reader of the patch stands in the source's layer stream. */
  let position = 0;
  let built = start;

  async function* copyLiterally(until: number): AsyncGenerator<Uint8Array, void, void> {
    if (built === until) return;
    differences.flush();
    out.op(DATA, until - built);
    while (built < until) {
      const piece = targetPiece.subarray(0, Math.min(PIECE_SIZE, until - built));
      await target.read(piece, built);
      out.bytes(piece);
      built += piece.length;
      if (out.size >= PIECE_SIZE) yield out.take();
    }
  }

  async function* addDifferences(until: number): AsyncGenerator<Uint8Array, void, void> {
    while (built < until) {
      const size = Math.min(PIECE_SIZE, until - built);
      const from = sourcePiece.subarray(0, size);
      const to = targetPiece.subarray(0, size);
      await Promise.all([source.read(from, position), target.read(to, built)]);
      differences.add(from, to);
      position += size;
      built += size;
      if (out.size >= PIECE_SIZE) yield out.take();
    }
  }

  for (let i = firstEndingAfter(alignments, start); i < alignments.count; i++) {
    const skipped = Math.max(0, built - alignments.target[i]!);
    const to = alignments.target[i]! + skipped;
    const from = alignments.source[i]! + skipped;
    if (to >= end) break;
    const next = sourceFiles.at(from);
    const until = Math.min(to - skipped + alignments.length[i]!, end, to + next.offset + next.size - from);
    const isBridge = next === file && from - position === to - built && to - built <= MAX_BRIDGE;
    if (isBridge) {
      yield* addDifferences(to);
    } else {
      if (until - to < MIN_RUN + (next === file ? 0 : OPEN_COST)) continue;
      yield* copyLiterally(to);
      differences.flush();
      if (next !== file) {
        out.op(OPEN, next.path.length);
        out.bytes(Buffer.from(next.path, 'latin1'));
        file = next;
        position = next.offset;
      }
      if (from !== position) out.op(SEEK, from - next.offset);
      position = from;
    }
    if (alignments.exact[i] === 1) {
      differences.addEqual(until - to);
      position += until - to;
      built = until;
    } else yield* addDifferences(until);
  }
  yield* copyLiterally(end);
  differences.flush();
  yield out.take();
}

/** Index of the first alignment that ends behind a target offset. */
function firstEndingAfter({ count, target, length }: Alignments, offset: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (target[middle]! + length[middle]! > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
