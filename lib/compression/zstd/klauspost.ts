import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { createZstdBlockWriter, type ZstdTraits } from './block.ts';
import { createZstdMatcher } from './match.ts';
import { BLOCK_SIZE } from './sequences.ts';

/**
 * The blocks of a frame like klauspost/compress at its default level (zstd/encoder.go), which BuildKit, podman, buildah
 * and skopeo use.
 */

/** Traits by the first version with this output. The first entry holds from 1.13.6 or earlier on. */
const VERSIONS = {
  '1.13.6': { savedShift: 5, minCoded: 32, isRawStored: false, isCompared: false, hasRuns: false },
  '1.16.4': { savedShift: 6, minCoded: 32, isRawStored: true, isCompared: false, hasRuns: false },
  '1.17.0': { savedShift: 6, minCoded: 16, isRawStored: true, isCompared: true, hasRuns: false },
  '1.17.8': { savedShift: 6, minCoded: 16, isRawStored: true, isCompared: true, hasRuns: true },
} as const satisfies Record<string, ZstdTraits>;

export type KlauspostZstdVersion = keyof typeof VERSIONS;

/** Window descriptor of 8 MiB, and the flag in a frame's header for its absence (RFC 8878, 3.1.1.1). */
const WINDOW = 0x68;
const SINGLE_SEGMENT = 0x20;

/**
 * Whether a frame with this header may be one of these versions. Those with more than one block have the default window.
 *
 * @param inputSize lower bound in bytes
 */
export function isKlauspostHeader(header: Uint8Array, inputSize: number): boolean {
  return inputSize <= BLOCK_SIZE || ((header[4]! & SINGLE_SEGMENT) === 0 && header[5] === WINDOW);
}

/** @param firstSize bytes of the first block. All others but the last have BLOCK_SIZE, which is also the default. */
export function createKlauspostZstd(
  version: KlauspostZstdVersion,
  firstSize: number | undefined,
  out: BitWriter,
): Deflater {
  const blocks = createZstdBlockWriter(VERSIONS[version], out);
  const matcher = createZstdMatcher();
  const block = new Uint8Array(BLOCK_SIZE);
  let size = 0;
  let wanted = firstSize ?? BLOCK_SIZE;
  let isBegun = false;

  return {
    write(piece) {
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + wanted - size);
        block.set(part, size);
        size += part.length;
        at += part.length;
        if (size < wanted) continue;
        const input = block.subarray(0, size);
        blocks.write(matcher.match(input), input, false);
        isBegun = true;
        wanted = BLOCK_SIZE;
        size = 0;
      }
    },
    finish() {
      const input = block.subarray(0, size);
      if (size === 0) blocks.finish();
      else blocks.write(isBegun ? matcher.match(input) : matcher.matchAlone(input), input, true);
    },
  };
}
