import type { ByteSource } from '../../../patchreader.ts';
import { PanamaxError } from '../../../../errors.ts';
import { integerSize, readInteger, writeInteger } from './integer.ts';

const VCD_SOURCE = 1;
const VCD_TARGET = 2;
/** xdelta3's extension: four bytes of Adler-32 over the target window follow the section sizes. */
const VCD_ADLER32 = 4;

/** The largest target window that xdelta3 3.0.11 decodes (its XD3_HARDMAXWINSIZE). */
export const MAX_WINDOW = 2 ** 24;
/** Segment and target window together have 32-bit addresses in xdelta3 3.0.11. */
export const MAX_ADDRESS = 2 ** 32 - 1;

export const SECTIONS = ['data', 'instructions', 'addresses'] as const;
export type SectionName = (typeof SECTIONS)[number];

export interface WindowHeader {
  /** Offset of the source segment in the source; `segmentSize` is 0 without a segment. */
  readonly segmentOffset: number;
  readonly segmentSize: number;
  readonly targetSize: number;
  /** Stored sizes of the sections. */
  readonly sizes: Readonly<Record<SectionName, number>>;
  /** Sections with secondary compression. */
  readonly compressed: Readonly<Record<SectionName, boolean>>;
  readonly adler32?: number;
}

/** Size of a window's header at most: two bytes, seven integers, a checksum. */
export const MAX_WINDOW_HEADER = 2 + 7 * 8 + 4;

export function readWindowHeader(from: ByteSource): WindowHeader {
  const indicator = from.byte();
  if (indicator & ~(VCD_SOURCE | VCD_TARGET | VCD_ADLER32)) throw unknownBits('window', indicator);
  if (indicator & VCD_TARGET) {
    throw new PanamaxError(
      'bad-patch',
      'windows that copy from earlier windows (VCD_TARGET) are not supported',
    );
  }
  const hasSource = (indicator & VCD_SOURCE) !== 0;
  const segmentSize = hasSource ? readInteger(from) : 0;
  const segmentOffset = hasSource ? readInteger(from) : 0;
  const announced = readInteger(from);
  const targetSize = readInteger(from);
  const delta = from.byte();
  if (delta > 7) throw unknownBits('delta', delta);
  const sizes = { data: readInteger(from), instructions: readInteger(from), addresses: readInteger(from) };
  const hasChecksum = (indicator & VCD_ADLER32) !== 0;
  const checksum = hasChecksum ? readUint32(from) : undefined;
  const length = encodingLength(targetSize, sizes, hasChecksum);
  if (announced !== length) {
    throw new PanamaxError('bad-patch', 'a window has another length than its sections', {
      expected: length,
      found: announced,
    });
  }
  return {
    segmentOffset,
    segmentSize,
    targetSize,
    sizes,
    compressed: { data: (delta & 1) !== 0, instructions: (delta & 2) !== 0, addresses: (delta & 4) !== 0 },
    ...(checksum !== undefined && { adler32: checksum }),
  };
}

export function writeWindowHeader(window: WindowHeader): Uint8Array {
  const { segmentOffset, segmentSize, targetSize, sizes, compressed, adler32 } = window;
  const out = new Uint8Array(MAX_WINDOW_HEADER);
  let at = 0;
  out[at++] = (segmentSize > 0 ? VCD_SOURCE : 0) | (adler32 === undefined ? 0 : VCD_ADLER32);
  if (segmentSize > 0) {
    at = writeInteger(out, at, segmentSize);
    at = writeInteger(out, at, segmentOffset);
  }
  at = writeInteger(out, at, encodingLength(targetSize, sizes, adler32 !== undefined));
  at = writeInteger(out, at, targetSize);
  out[at++] =
    Number(compressed.data) | (Number(compressed.instructions) << 1) | (Number(compressed.addresses) << 2);
  for (const name of SECTIONS) at = writeInteger(out, at, sizes[name]);
  if (adler32 !== undefined) {
    new DataView(out.buffer).setUint32(at, adler32);
    at += 4;
  }
  return out.subarray(0, at);
}

/** "Length of the delta encoding": bytes behind that field. xdelta3 refuses a window with a wrong value. */
function encodingLength(
  targetSize: number,
  sizes: Readonly<Record<SectionName, number>>,
  hasChecksum: boolean,
): number {
  let length = 1 + integerSize(targetSize) + (hasChecksum ? 4 : 0);
  for (const name of SECTIONS) length += integerSize(sizes[name]) + sizes[name];
  return length;
}

function readUint32(from: ByteSource): number {
  let value = 0;
  for (let i = 0; i < 4; i++) value = value * 256 + from.byte();
  return value;
}

function unknownBits(indicator: string, found: number): PanamaxError {
  return new PanamaxError('bad-patch', `unknown bits in the ${indicator} indicator`, { found });
}
