import { PanamaxError } from '../../../../../errors.ts';
import { MAX_APP_HEADER, readHeader } from '../header.ts';
import { PatchReader } from '../../../../patchreader.ts';
import type { RandomAccess } from '../../../../randomaccess.ts';
import { MAX_DICTIONARY, openSecondary } from './secondary.ts';
import { MAX_WINDOW, MAX_WINDOW_HEADER, readWindowHeader } from '../window.ts';
import { WindowDecoder } from './windowdecoder.ts';

export interface DecodeOptions {
  /** Bytes of the target at most. Default: no bound. */
  readonly maxTargetSize?: number;
  /** Bytes of one target window at most. Default 16 MiB, xdelta3's own bound. */
  readonly maxWindowSize?: number;
  /** Bytes of the application header at most. Default 4 MiB. */
  readonly maxAppHeader?: number;
  /** Bytes of each LZMA dictionary at most; every kind of section has its own. Default 64 MiB. */
  readonly maxDictionary?: number;
  /** Whether the Adler-32 of the windows is compared. Default true. */
  readonly verify?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Applies a VCDIFF patch (RFC 3284 as xdelta3 writes it) and yields the target, one window at a time.
 * Each window is valid until the next one is requested.
 *
 * @throws PanamaxError `bad-patch` for a patch that is damaged, contradicts itself or does not fit the source; `limit`
 *   for one beyond the options
 */
export async function* decodeVcdiff(
  patch: AsyncIterable<Uint8Array>,
  source: RandomAccess,
  options: DecodeOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const {
    maxTargetSize = Infinity,
    maxWindowSize = MAX_WINDOW,
    maxAppHeader = MAX_APP_HEADER,
    maxDictionary = MAX_DICTIONARY,
    verify = true,
    signal,
  } = options;
  const reader = new PatchReader(patch);
  try {
    const { secondary } = await readHeader(reader, maxAppHeader);
    const decoder = new WindowDecoder(
      source,
      secondary && openSecondary(secondary, maxDictionary),
      maxWindowSize,
      verify,
    );
    let total = 0;
    while ((await reader.fill(MAX_WINDOW_HEADER)) > 0) {
      signal?.throwIfAborted();
      const header = readWindowHeader(reader);
      total += header.targetSize;
      if (total > maxTargetSize) {
        throw new PanamaxError('limit', 'the target is too long', { expected: `at most ${maxTargetSize}` });
      }
      const window = await decoder.decode(header, reader);
      if (window.length > 0) yield window;
    }
  } finally {
    await reader.close();
  }
}
