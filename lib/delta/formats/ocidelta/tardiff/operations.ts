import type { Alignments } from '../../../align/alignment.ts';
import { pagedAccess, type RandomAccess } from '../../../randomaccess.ts';
import { DifferenceWriter } from './differencewriter.ts';
import { DATA, OPEN, SEEK } from './format.ts';
import { OpWriter } from './opwriter.ts';
import type { SourceFiles } from './sourcefiles.ts';

/** Bytes read at a time, and about the size of the yielded pieces. */
const PIECE_SIZE = 256 * 1024;
/** Shorter alignments are not worth a SEEK and a COPY: zstd mostly has seen such bytes before. */
const MIN_RUN = 32;
/** Further cost of an OPEN after compression: the tar header before it mostly has the same path. */
const OPEN_COST = 16;
/** Two alignments at one distance with no more than this between them become one. */
const MAX_BRIDGE = 64;
/** An alignment with a larger share of differing bytes costs more than its plain bytes. */
const MAX_DIFFERING = 0.3;
/** Longer alignments are not judged, because differences in one place tell little about others. In bytes. */
const MAX_JUDGED_SIZE = 64 * 1024;

export interface OperationsOptions {
  /** Layer streams. */
  readonly source: RandomAccess;
  readonly target: RandomAccess;
  readonly sourceFiles: SourceFiles;
  readonly alignments: Alignments;
  /** The range to build: a layer or a part of one, in the target's layer stream. */
  readonly start: number;
  readonly end: number;
}

/**
 * Yields the operations that build a range of the target from files of the source, in pieces. They do not depend on
 * earlier operations: those of adjoining ranges can be concatenated.
 */
export async function* planOperations(options: OperationsOptions): AsyncGenerator<Uint8Array, void, void> {
  const { sourceFiles, alignments, start, end } = options;
  const source = pagedAccess(options.source);
  const target = pagedAccess(options.target);
  const out = new OpWriter();
  const differences = new DifferenceWriter(out);
  const sourcePiece = new Uint8Array(PIECE_SIZE);
  const targetPiece = new Uint8Array(PIECE_SIZE);
  /** The source file that is open. */
  let file = -1;
  /** Position of the patch's reader in the source's layer stream. */
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

  /** Whether a short alignment has too many differences. */
  async function differsTooMuch(from: number, to: number, size: number): Promise<boolean> {
    if (size > MAX_JUDGED_SIZE) return false;
    const old = sourcePiece.subarray(0, size);
    const fresh = targetPiece.subarray(0, size);
    await Promise.all([source.read(old, from), target.read(fresh, to)]);
    let count = 0;
    for (let i = 0; i < size; i++) if (old[i] !== fresh[i]) count++;
    return count > size * MAX_DIFFERING;
  }

  for (let i = firstEndingAfter(alignments, start); i < alignments.count; i++) {
    const skipped = Math.max(0, built - alignments.target[i]!);
    const to = alignments.target[i]! + skipped;
    const from = alignments.source[i]! + skipped;
    if (to >= end) break;
    const next = sourceFiles.at(from);
    const offset = sourceFiles.offsetOf(next);
    const left = offset + sourceFiles.sizeOf(next) - from;
    const until = Math.min(to - skipped + alignments.length[i]!, end, to + left);
    const isBridge = next === file && from - position === to - built && to - built <= MAX_BRIDGE;
    if (isBridge) {
      yield* addDifferences(to);
    } else {
      if (until - to < MIN_RUN + (next === file ? 0 : OPEN_COST)) continue;
      if (alignments.exact[i] === 0 && (await differsTooMuch(from, to, until - to))) continue;
      yield* copyLiterally(to);
      differences.flush();
      if (next !== file) {
        const path = sourceFiles.pathOf(next);
        out.op(OPEN, path.length);
        out.bytes(path);
        file = next;
        position = offset;
      }
      if (from !== position) out.op(SEEK, from - offset);
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
export function firstEndingAfter({ count, target, length }: Alignments, offset: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (target[middle]! + length[middle]! > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
