import { PanamaxError } from '../../../../errors.ts';
import { integerSize, readInteger, writeInteger } from './integer.ts';
import { PatchReader } from '../../../patchreader.ts';

/** "VCD" with the top bits set, version 0 (RFC 3284, section 4.1). */
const MAGIC = [0xd6, 0xc3, 0xc4, 0x00];
const VCD_DECOMPRESS = 1;
const VCD_CODETABLE = 2;
/** xdelta3's extension: an application header, a length followed by that many bytes. */
const VCD_APPHEADER = 4;

/** Ids of xdelta3's secondary compressors; `lzma` is one xz stream for each kind of section. */
export const SECONDARY_IDS = { djw: 1, lzma: 2, fgk: 16 } as const;
export type Secondary = keyof typeof SECONDARY_IDS;

export interface VcdiffHeader {
  readonly secondary?: Secondary;
  readonly appHeader?: Uint8Array;
}

/** Recipes with corrections of compressed layers are the largest. */
export const MAX_APP_HEADER = 4 * 1024 ** 2;
/** Indicator, compressor id and length come before the application header. */
const FIXED_PART = MAGIC.length + 2 + 8;

/** Reads the header at the beginning of a patch. The rest of the patch is not read. */
export async function readVcdiffHeader(
  patch: AsyncIterable<Uint8Array>,
  maxAppHeader = MAX_APP_HEADER,
): Promise<VcdiffHeader> {
  const reader = new PatchReader(patch);
  try {
    return await readHeader(reader, maxAppHeader);
  } finally {
    await reader.close();
  }
}

export async function readHeader(reader: PatchReader, maxAppHeader: number): Promise<VcdiffHeader> {
  await reader.fill(FIXED_PART);
  if (!MAGIC.every((byte) => reader.byte() === byte)) {
    throw new PanamaxError('bad-patch', 'not a VCDIFF patch of version 0');
  }
  const indicator = reader.byte();
  if (indicator & ~(VCD_DECOMPRESS | VCD_CODETABLE | VCD_APPHEADER)) {
    throw new PanamaxError('bad-patch', 'unknown bits in the header indicator', { found: indicator });
  }
  const secondary = indicator & VCD_DECOMPRESS ? secondaryOf(reader.byte()) : undefined;
  if (indicator & VCD_CODETABLE) {
    throw new PanamaxError('bad-patch', 'code tables of their own are not supported');
  }
  const appHeader = indicator & VCD_APPHEADER ? await readAppHeader(reader, maxAppHeader) : undefined;
  return { ...(secondary && { secondary }), ...(appHeader && { appHeader }) };
}

function secondaryOf(id: number): Secondary {
  for (const [name, known] of Object.entries(SECONDARY_IDS)) if (id === known) return name as Secondary;
  throw new PanamaxError('bad-patch', 'unknown secondary compressor', { found: id });
}

async function readAppHeader(reader: PatchReader, max: number): Promise<Uint8Array> {
  const size = readInteger(reader);
  if (size > max) {
    throw new PanamaxError('limit', 'the application header is too long', { expected: max, found: size });
  }
  return reader.take(size);
}

/** @throws PanamaxError `usage` for an application header that is too long or contains '/' (xdelta3: file names) */
export function writeHeader(header: VcdiffHeader): Uint8Array {
  const { secondary, appHeader } = header;
  if (appHeader && (appHeader.length > MAX_APP_HEADER || appHeader.includes(0x2f))) {
    throw new PanamaxError('usage', 'unfit application header', {
      expected: `at most ${MAX_APP_HEADER} bytes without '/'`,
    });
  }
  const indicator = (secondary ? VCD_DECOMPRESS : 0) | (appHeader ? VCD_APPHEADER : 0);
  const out = [...MAGIC, indicator];
  if (secondary) out.push(SECONDARY_IDS[secondary]);
  if (!appHeader) return Uint8Array.from(out);
  const length = new Uint8Array(integerSize(appHeader.length));
  writeInteger(length, 0, appHeader.length);
  return Buffer.concat([Uint8Array.from(out), length, appHeader]);
}
