import { PanamaxError } from '../../errors.ts';
import type { Secondary } from './header.ts';
import type { Section } from './section.ts';
import type { SectionName } from './window.ts';

export const MAX_DICTIONARY = 64 * 1024 ** 2;

/** Undoes one patch's secondary compression. */
export interface SecondaryDecoder {
  /** A section from what the patch holds of it: its size once decompressed, then what is compressed. */
  section(name: SectionName, bytes: Uint8Array): Section;
}

export function openSecondary(secondary: Secondary, _maxDictionary: number): SecondaryDecoder {
  throw new PanamaxError('bad-patch', 'secondary compression is not supported', { found: secondary });
}
