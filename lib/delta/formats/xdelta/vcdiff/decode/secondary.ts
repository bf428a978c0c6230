import { PanamaxError } from '../../../../../errors.ts';
import { XzDecoder } from '../../../../../compression/lzma/xzdecoder.ts';
import type { Secondary } from '../header.ts';
import { readInteger } from '../integer.ts';
import { Section } from './section.ts';
import { SECTIONS, type SectionName } from '../window.ts';

export const MAX_DICTIONARY = 64 * 1024 ** 2;

/** Decompresses the sections of one patch (secondary compression). */
export interface SecondaryDecoder {
  /** @param stored the section in the patch: its decompressed size, then the compressed bytes */
  section(name: SectionName, stored: Uint8Array<ArrayBuffer>): Section;
}

export function openSecondary(secondary: Secondary, maxDictionary: number): SecondaryDecoder {
  if (secondary === 'lzma') return openLzma(maxDictionary);
  throw new PanamaxError('bad-patch', 'secondary compression is not supported', { found: secondary });
}

/** Each kind of section is one .xz stream that continues from window to window. */
function openLzma(maxDictionary: number): SecondaryDecoder {
  const streams = new Map(SECTIONS.map((name) => [name, new XzDecoder(maxDictionary)]));
  return {
    section(name, stored) {
      const stream = streams.get(name)!;
      const plain = Section.plain(stored);
      const size = readInteger(plain);
      stream.open(stored.subarray(stored.length - plain.left));
      return Section.compressed(size, stream);
    },
  };
}
