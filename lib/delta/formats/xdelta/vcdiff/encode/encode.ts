import type { Alignments, Effort } from '../../../../align/alignment.ts';
import { adler32 } from '../adler32.ts';
import { createCompressorPool, singleCompressor, type CompressorPool } from './compressorpool.ts';
import { cutWindows, type Cut } from './cut.ts';
import { writeHeader } from '../header.ts';
import { Planner } from './planner.ts';
import type { RandomAccess } from '../../../../randomaccess.ts';
import { sizeOf, writeSections, type Sections } from './sections.ts';
import { MAX_WINDOW, writeWindowHeader } from '../window.ts';

export interface EncodeOptions {
  readonly source: RandomAccess;
  readonly target: RandomAccess;
  /** Places where the target resembles the source. Exact ones are not compared again. */
  readonly alignments: Alignments;
  /** At most `MAX_APP_HEADER` bytes, without '/', which xdelta3 takes for file names. */
  readonly appHeader?: Uint8Array;
  /** By default `default`. */
  readonly effort?: Effort;
  readonly signal?: AbortSignal;
}

/** Section bytes of the windows that are compressed together. */
const GATHERED = 2 ** 21;
/** Section bytes from which on starting threads pays. */
const MIN_SHARED = 2 ** 18;
/** Bytes without a counterpart from which on the compressor is faster and less thorough. */
const MUCH = 2 ** 20;
/** Size of windows. Small ones let compression start sooner and leave less work at the end. */
const WINDOW = 2 ** 23;
const HURRIED_WINDOW = 2 ** 22;

/** A window whose instructions are known. */
interface PlannedWindow extends Pick<Cut, 'size' | 'segmentOffset' | 'segmentSize'> {
  readonly sections: Sections;
  readonly adler32: number;
}

/** Yields a VCDIFF patch (RFC 3284) that stock xdelta3 3.0.11 applies. */
export async function* encodeVcdiff(options: EncodeOptions): AsyncGenerator<Uint8Array, void> {
  const { source, target, alignments, appHeader, effort = 'default', signal } = options;
  yield writeHeader({ secondary: 'lzma', ...(appHeader && { appHeader }) });
  const much = uncovered(target.size, alignments) > MUCH;
  const maxWindow = effort === 'best' ? MAX_WINDOW : much ? HURRIED_WINDOW : WINDOW;
  const buffer = new Uint8Array(Math.min(maxWindow, target.size));
  const planner = new Planner(source);
  const groups: Group[] = [];
  let pool: CompressorPool | undefined;
  let gathered: PlannedWindow[] = [];
  let gatheredSize = 0;

  function startGroup(): void {
    const done = pool!.compress(gathered.map(({ sections }) => sections));
    // awaited below: until then a rejection must not count as unhandled
    done.catch(() => undefined);
    groups.push({ windows: gathered, done });
    gathered = [];
    gatheredSize = 0;
  }

  try {
    for (const cut of cutWindows(target.size, alignments, maxWindow)) {
      signal?.throwIfAborted();
      if (gatheredSize >= GATHERED) {
        if (groups.length === pool!.concurrency) yield* writeGroup(groups.shift()!);
        startGroup();
      }
      const window = buffer.subarray(0, cut.size);
      await target.read(window, cut.start);
      const sections = writeSections(cut, window, await planner.plan(cut, window));
      const { size, segmentOffset, segmentSize } = cut;
      gathered.push({ size, segmentOffset, segmentSize, sections, adler32: adler32(window) });
      gatheredSize += sizeOf(sections);
      if (gatheredSize >= MIN_SHARED) pool ??= createCompressorPool({ effort, much });
    }
    pool ??= singleCompressor({ effort, much, streamSize: gatheredSize });
    startGroup();
    for (const group of groups) {
      signal?.throwIfAborted();
      yield* writeGroup(group);
    }
  } finally {
    await pool?.[Symbol.asyncDispose]();
  }
}

function uncovered(size: number, { length }: Alignments): number {
  return length.reduce((left, covered) => left - covered, size);
}

/** Windows that are compressed together. */
interface Group {
  readonly windows: readonly PlannedWindow[];
  readonly done: Promise<Sections[]>;
}

async function* writeGroup({ windows, done }: Group): AsyncGenerator<Uint8Array, void> {
  const compressed = await done;
  for (const [i, { size, segmentOffset, segmentSize, adler32 }] of windows.entries()) {
    const { data, instructions, addresses } = compressed[i]!;
    yield writeWindowHeader({
      segmentOffset,
      segmentSize,
      targetSize: size,
      sizes: { data: data.length, instructions: instructions.length, addresses: addresses.length },
      compressed: {
        data: data.length > 0,
        instructions: instructions.length > 0,
        addresses: addresses.length > 0,
      },
      adler32,
    });
    yield data;
    yield instructions;
    yield addresses;
  }
}
