import { PanamaxError } from '../../../errors.ts';
import type { BitCoder } from './bitcoder.ts';
import { NumberModels } from './numbers.ts';
import { FRESH, STREAMS } from './streams.ts';

/** The sizes and checksums of a section: some groups of one batch with their parts of the streams, compressed. */

export interface GroupHeader {
  /** Bytes of each stream. */
  readonly parts: readonly number[];
  /** Bytes of its operands. */
  readonly operands: number;
  /** CRC-32 of its bytes in the target; undefined for a group without parts. */
  readonly checksum?: number;
}

export interface Section {
  readonly groups: readonly GroupHeader[];
  /** Bytes of each stream, compressed. */
  readonly stored: readonly number[];
}

/** A section ends with the group that brings its streams to so many bytes. */
export const ENOUGH_IN_SECTION = 4 * 1024 ** 2;
/** A compressed stream is at most this much larger than its bytes. */
const MAX_OVERHEAD = 1024;
const OVERHEAD_SHIFT = 8;

/** State that lasts from section to section. */
export class SectionModels {
  readonly count = new NumberModels(1);
  readonly part = new NumberModels(STREAMS + 1);
  readonly stored = new NumberModels(STREAMS);
}

/**
 * Codes the head of a section in either direction.
 *
 * @param sizes of the groups of the batch that are left, in the target program
 * @throws PanamaxError `bad-patch`
 */
export function codeSection(
  coder: BitCoder,
  models: SectionModels,
  given: Section | undefined,
  sizes: readonly number[],
): Section {
  const total = models.count.code(coder, 0, given ? given.groups.length - 1 : 0) + 1;
  limit(total, sizes.length, 'too many groups in a section');
  const raw = Array.from({ length: STREAMS }, () => 0);
  const groups: GroupHeader[] = [];
  for (let i = 0; i < total; i++) {
    if (i > 0 && sum(raw) >= ENOUGH_IN_SECTION) limit(total, i, 'too many groups in a section');
    const group = codeGroup(coder, models, given?.groups[i], sizes[i]!);
    for (const [stream, part] of group.parts.entries()) raw[stream]! += part;
    groups.push(group);
  }
  const stored = raw.map((size, stream) => {
    const found = models.stored.code(coder, stream, given?.stored[stream] ?? 0);
    limit(found, size + (size >>> OVERHEAD_SHIFT) + MAX_OVERHEAD, 'a stream too large');
    return found;
  });
  return { groups, stored };
}

function codeGroup(
  coder: BitCoder,
  models: SectionModels,
  given: GroupHeader | undefined,
  size: number,
): GroupHeader {
  const parts = Array.from({ length: STREAMS }, (_, stream) => {
    const found = models.part.code(coder, stream, given?.parts[stream] ?? 0);
    limit(found, stream === FRESH ? size : 2 * size, 'a part too large');
    return found;
  });
  limit(sum(parts), 3 * size, 'a group too large');
  const operands = models.part.code(coder, STREAMS, given?.operands ?? 0);
  limit(operands, 2 * size, 'a part too large');
  let checksum = 0;
  // a group without parts depends on its operations alone, and the image is verified as a whole
  if (sum(parts) + operands === 0) return { parts, operands };
  for (let bit = 31; bit >= 0; bit--) {
    checksum = checksum * 2 + coder.fixed(2 ** 15, ((given?.checksum ?? 0) >>> bit) & 1);
  }
  return { parts, operands, checksum };
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, one) => total + one, 0);
}

function limit(value: number, most: number, what: string): void {
  if (value <= most) return;
  throw new PanamaxError('bad-patch', what, { expected: `at most ${most}`, found: value });
}
