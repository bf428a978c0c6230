import { serveThread } from '../../../../../runtime/threadmain.ts';
import { createCompressor, type Compressor, type Thoroughness } from './compressor.ts';
import { SECTIONS, type SectionName } from '../window.ts';

/** The body of a thread that compresses some kinds of sections and updates its dictionary with the others. */

export interface CompressorTask {
  readonly thoroughness: Thoroughness;
  /** Sections of each kind, of some windows. */
  readonly sections: SectionColumns;
  /** The kinds that this thread compresses. */
  readonly mine: readonly SectionName[];
}

export type SectionColumns = Readonly<Record<SectionName, readonly Uint8Array[]>>;

let compressor: Compressor | undefined;

export const handler = serveThread(
  ({ thoroughness, sections, mine }: CompressorTask): Partial<SectionColumns> => {
    const streams = (compressor ??= createCompressor(thoroughness));
    const compressed = mine.map((kind) => [kind, streams[kind].compress(sections[kind])]);
    for (const kind of SECTIONS) if (!mine.includes(kind)) streams[kind].skip(sections[kind]);
    return Object.fromEntries(compressed) as Partial<SectionColumns>;
  },
);
