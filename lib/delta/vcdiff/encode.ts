import type { Alignments, Effort } from '../alignment.ts';
import { adler32 } from './adler32.ts';
import { createCompressor, type Compressor } from './compressor.ts';
import { cutWindows, type Cut } from './cut.ts';
import { writeHeader } from './header.ts';
import { Planner } from './plan.ts';
import type { RandomAccess } from './randomaccess.ts';
import { writeSections, type Sections } from './sections.ts';
import { MAX_WINDOW, SECTIONS, writeWindowHeader } from './window.ts';

export interface EncodeOptions {
  readonly source: RandomAccess;
  readonly target: RandomAccess;
  /** Where the target resembles the source. What is marked exact is not compared again. */
  readonly alignments: Alignments;
  /** At most 1 MiB, without '/', which makes xdelta3 take it for file names. */
  readonly appHeader?: Uint8Array;
  /** Default `default`. */
  readonly effort?: Effort;
  readonly signal?: AbortSignal;
}

/** Windows are compressed together until their sections have this many bytes. */
const GATHERED = 2 ** 22;

/** A window on its way into the patch. */
interface PlannedWindow {
  readonly cut: Cut;
  readonly sections: Sections;
  readonly adler32: number;
}

/** Yields a VCDIFF patch (RFC 3284) that stock xdelta3 3.0.11 applies. */
export async function* encodeVcdiff(options: EncodeOptions): AsyncGenerator<Uint8Array, void> {
  const { source, target, alignments, appHeader, effort, signal } = options;
  yield writeHeader({ secondary: 'lzma', ...(appHeader && { appHeader }) });
  const buffer = new Uint8Array(Math.min(MAX_WINDOW, target.size));
  const planner = new Planner(source);
  const compressor = createCompressor(effort ?? 'default');
  let gathered: PlannedWindow[] = [];
  let size = 0;
  for (const cut of cutWindows(target.size, alignments)) {
    signal?.throwIfAborted();
    const window = buffer.subarray(0, cut.size);
    await target.read(window, cut.start);
    const sections = writeSections(cut, window, await planner.plan(cut, window));
    gathered.push({ cut, sections: copied(sections), adler32: adler32(window) });
    size += SECTIONS.reduce((sum, name) => sum + sections[name].length, 0);
    if (size < GATHERED) continue;
    yield* writeWindows(gathered, compressor);
    gathered = [];
    size = 0;
  }
  yield* writeWindows(gathered, compressor);
}

/** Sections are written into buffers of the largest size they may have. */
function copied({ data, instructions, addresses }: Sections): Sections {
  return { data: data.slice(), instructions: instructions.slice(), addresses: addresses.slice() };
}

function* writeWindows(
  windows: readonly PlannedWindow[],
  compressor: Compressor,
): Generator<Uint8Array, void> {
  const compressed = compressor.compress(windows.map(({ sections }) => sections));
  for (const [i, { cut, adler32 }] of windows.entries()) {
    const { data, instructions, addresses } = compressed[i]!;
    yield writeWindowHeader({
      segmentOffset: cut.segmentOffset,
      segmentSize: cut.segmentSize,
      targetSize: cut.size,
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
