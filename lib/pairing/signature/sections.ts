import { promisify } from 'node:util';
import { constants, crc32, zstdCompress, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { PanamaxError } from '../../errors.ts';

/**
 * Stored columns (docs/formats.md): a head of fixed size, then sections, each compressed on its own. A reader expands only
 * the sections that it needs.
 */
export interface SectionScheme<Name extends string> {
  /** Eight ASCII characters. */
  readonly magic: string;
  readonly version: number;
  readonly names: readonly Name[];
  /** Names the object in errors. */
  readonly noun: string;
}

export interface StoredSection {
  readonly bytes: Uint8Array;
  /** When expanded, in bytes. */
  readonly size: number;
}

/** Offsets in the head. */
const VERSION_AT = 8;
const CHECKSUM_AT = 12;
const SIZES_AT = 16;

/** Bound in bytes on an expanded section. */
const MAX_SECTION = 512 * 1024 ** 2;

export async function packSections<Name extends string>(
  scheme: SectionScheme<Name>,
  sections: Readonly<Record<Name, Uint8Array>>,
): Promise<Buffer> {
  const { magic, version, names } = scheme;
  const params = { [constants.ZSTD_c_contentSizeFlag]: 1 };
  const stored = await Promise.all(names.map((name) => promisify(zstdCompress)(sections[name], { params })));
  const head = Buffer.alloc(headSize(scheme));
  head.write(magic, 'latin1');
  head.writeUInt32LE(version, VERSION_AT);
  for (const [i, name] of names.entries()) {
    head.writeUInt32LE(stored[i]!.length, SIZES_AT + 8 * i);
    head.writeUInt32LE(sections[name].length, SIZES_AT + 8 * i + 4);
  }
  const bytes = Buffer.concat([head, ...stored]);
  bytes.writeUInt32LE(crc32(bytes.subarray(SIZES_AT)), CHECKSUM_AT);
  return bytes;
}

/** @throws PanamaxError `bad-input` for damaged bytes, or those of another version */
export function openSections<Name extends string>(
  scheme: SectionScheme<Name>,
  bytes: Uint8Array,
  where: string,
): Readonly<Record<Name, StoredSection>> {
  const { names, noun } = scheme;
  const head = openHead(scheme, bytes, where);
  if (crc32(head.subarray(SIZES_AT)) !== head.readUInt32LE(CHECKSUM_AT))
    throw damaged(noun, 'it differs from its checksum', where);
  let at = headSize(scheme);
  const sections = names.map((name, i): [Name, StoredSection] => {
    const start = at;
    at += head.readUInt32LE(SIZES_AT + 8 * i);
    return [name, { bytes: head.subarray(start, at), size: head.readUInt32LE(SIZES_AT + 8 * i + 4) }];
  });
  if (at !== head.length) throw damaged(noun, `its sections take ${at} of ${head.length} bytes`, where);
  return Object.fromEntries(sections) as Record<Name, StoredSection>;
}

/**
 * Reads the first section, and no more chunks than that takes. The checksum, which is of all bytes, is not compared.
 *
 * @throws PanamaxError `bad-input`
 */
export async function readFirstSection(
  scheme: SectionScheme<string>,
  chunks: AsyncIterable<Uint8Array>,
  where: string,
): Promise<StoredSection> {
  const start = headSize(scheme);
  let bytes = Buffer.alloc(0);
  for await (const chunk of chunks) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < start) continue;
    const end = start + openHead(scheme, bytes, where).readUInt32LE(SIZES_AT);
    if (bytes.length >= end)
      return { bytes: bytes.subarray(start, end), size: bytes.readUInt32LE(SIZES_AT + 4) };
  }
  throw damaged(scheme.noun, 'it is cut off', where);
}

function headSize({ names }: SectionScheme<string>): number {
  return SIZES_AT + 8 * names.length;
}

/** The bytes, if they begin with a head of the scheme. */
function openHead(scheme: SectionScheme<string>, bytes: Uint8Array, where: string): Buffer {
  const { magic, version, noun } = scheme;
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (head.length < headSize(scheme) || head.toString('latin1', 0, magic.length) !== magic)
    throw damaged(noun, 'no head', where);
  const found = head.readUInt32LE(VERSION_AT);
  if (found !== version)
    throw new PanamaxError('bad-input', `unknown ${noun} version`, { expected: version, found, where });
  return head;
}

/** @throws PanamaxError `bad-input` */
export function expandSectionSync({ bytes, size }: StoredSection, noun: string, where: string): Buffer {
  checkSize(size, noun, where);
  try {
    return checked(zstdDecompressSync(bytes, bounds(size)), size, noun, where);
  } catch (error) {
    throw ofSection(error, noun, where);
  }
}

/** @throws PanamaxError `bad-input` */
export async function expandSection(
  { bytes, size }: StoredSection,
  noun: string,
  where: string,
): Promise<ArrayBuffer> {
  checkSize(size, noun, where);
  try {
    const section = checked(await promisify(zstdDecompress)(bytes, bounds(size)), size, noun, where);
    return new Uint8Array(section).buffer;
  } catch (error) {
    throw ofSection(error, noun, where);
  }
}

function checkSize(size: number, noun: string, where: string): void {
  if (size > MAX_SECTION) throw damaged(noun, `it expands to more than ${MAX_SECTION} bytes`, where);
}

/** One piece of output, and an error for more. */
function bounds(size: number) {
  return { chunkSize: Math.max(64, size + 1), maxOutputLength: Math.max(1, size) };
}

function checked(section: Buffer, size: number, noun: string, where: string): Buffer {
  if (section.length !== size) throw damaged(noun, `a section has ${section.length} of ${size} bytes`, where);
  return section;
}

function ofSection(error: unknown, noun: string, where: string): PanamaxError {
  return error instanceof PanamaxError ? error : damaged(noun, (error as Error).message, where);
}

export function damaged(noun: string, why: string, where: string): PanamaxError {
  return new PanamaxError('bad-input', `damaged ${noun}: ${why}`, { where });
}
