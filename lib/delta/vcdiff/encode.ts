import type { Alignments } from '../alignment.ts';
import { adler32 } from './adler32.ts';
import { cutWindows } from './cut.ts';
import { writeHeader } from './header.ts';
import { Planner } from './plan.ts';
import type { RandomAccess } from './randomaccess.ts';
import { writeSections } from './sections.ts';
import { MAX_WINDOW, writeWindowHeader } from './window.ts';

export interface EncodeOptions {
  readonly source: RandomAccess;
  readonly target: RandomAccess;
  /** Where the target resembles the source. What is marked exact is not compared again. */
  readonly alignments: Alignments;
  /** At most 1 MiB, without '/', which makes xdelta3 take it for file names. */
  readonly appHeader?: Uint8Array;
  readonly signal?: AbortSignal;
}

/** Yields a VCDIFF patch (RFC 3284) that stock xdelta3 3.0.11 applies. */
export async function* encodeVcdiff(options: EncodeOptions): AsyncGenerator<Uint8Array, void> {
  const { source, target, alignments, appHeader, signal } = options;
  yield writeHeader({ ...(appHeader && { appHeader }) });
  const buffer = new Uint8Array(Math.min(MAX_WINDOW, target.size));
  const planner = new Planner(source);
  for (const cut of cutWindows(target.size, alignments)) {
    signal?.throwIfAborted();
    const window = buffer.subarray(0, cut.size);
    await target.read(window, cut.start);
    const instructions = await planner.plan(cut, window);
    const sections = writeSections(cut, window, instructions);
    const { segmentOffset, segmentSize } = cut;
    yield writeWindowHeader({
      segmentOffset,
      segmentSize,
      targetSize: cut.size,
      sizes: {
        data: sections.data.length,
        instructions: sections.instructions.length,
        addresses: sections.addresses.length,
      },
      compressed: { data: false, instructions: false, addresses: false },
      adler32: adler32(window),
    });
    yield sections.data;
    yield sections.instructions;
    yield sections.addresses;
  }
}
