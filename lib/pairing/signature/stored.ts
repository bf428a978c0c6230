import { promisify } from 'node:util';
import { constants, crc32, zstdCompress, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { parseDigest, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { parseImageRecord, type ImageRecord } from '../../image/record.ts';
import { asArray, asRecord, asSize, asString, parseDocument } from '../../json.ts';
import { SIGNATURE_VERSION } from '../../store/keys.ts';
import { openListing, packListing } from './listing.ts';
import { openProfile, packProfile, PROFILE, profileHead, type Profile, type ProfileHead } from './profile.ts';
import type { Signature } from './signature.ts';
import { openTable } from './table.ts';
import { parseTlsh } from './tlsh.ts';

/**
 * The stored form of a signature (docs/formats.md): a head of fixed size, then three sections, each compressed on its own.
 * A reader expands only the sections that it needs.
 */

const MAGIC = 'PanamaxS';
const SECTIONS = ['document', 'profile', 'listing'] as const;
type Section = (typeof SECTIONS)[number];

/** Offsets in the head. */
const VERSION_AT = 8;
const CHECKSUM_AT = 12;
const SIZES_AT = 16;
const HEAD_SIZE = SIZES_AT + 8 * SECTIONS.length;

/** Bound in bytes on an expanded section. */
const MAX_SECTION = 512 * 1024 ** 2;

/** The JSON of the first section. */
interface SignatureDocument {
  readonly image: ImageRecord;
  readonly contentDigest: Digest;
  readonly contentSize: number;
  readonly tlsh: string | null;
  readonly layers: readonly { readonly tlsh: string | null; readonly entries: number }[];
}

export async function serializeSignature(signature: Signature): Promise<Buffer> {
  const { image, contentDigest, contentSize, tlsh } = signature;
  const layers = signature.layers.map((layer) => ({ tlsh: layer.tlsh, entries: layer.entries }));
  const document = { image, contentDigest, contentSize, tlsh, layers };
  const sections = [
    Buffer.from(JSON.stringify(document satisfies SignatureDocument)),
    packProfile(signature),
    packListing(signature),
  ];
  const params = { [constants.ZSTD_c_contentSizeFlag]: 1 };
  const stored = await Promise.all(sections.map((section) => promisify(zstdCompress)(section, { params })));
  const head = Buffer.alloc(HEAD_SIZE);
  head.write(MAGIC, 'latin1');
  head.writeUInt32LE(SIGNATURE_VERSION, VERSION_AT);
  for (const [i, { length }] of sections.entries()) {
    head.writeUInt32LE(stored[i]!.length, SIZES_AT + 8 * i);
    head.writeUInt32LE(length, SIZES_AT + 8 * i + 4);
  }
  const bytes = Buffer.concat([head, ...stored]);
  bytes.writeUInt32LE(crc32(bytes.subarray(SIZES_AT)), CHECKSUM_AT);
  return bytes;
}

/**
 * Reads a stored signature as a whole.
 *
 * @throws PanamaxError `bad-input` for a damaged signature or one of another version
 */
export async function parseSignature(bytes: Uint8Array, where: string): Promise<Signature> {
  const sections = sectionsOf(bytes, where);
  const { layers, ...document } = readDocument(sections, where);
  const [profile, listing] = await Promise.all([
    expanded(sections.profile, where),
    expanded(sections.listing, where),
  ]);
  const columns = openProfile(profile, layers.length, where);
  const { digests, files, layerPaths } = openListing(listing, columns, where);
  const { sizes, densities, levels, sampleEnds, values, layerEnds } = columns;
  return {
    ...document,
    files,
    layers: layers.map((layer, i) => ({
      ...layer,
      files: {
        paths: layerPaths[i]!,
        contents: columns.fileContents.slice(layerEnds[i - 1] ?? 0, layerEnds[i]),
      },
    })),
    contents: {
      digests,
      sizes,
      densities,
      levels,
      samples: columns.sampleValues.map((value) => values[value]!),
      sampleEnds,
    },
  };
}

/**
 * Reads only the record of a signature's image.
 *
 * @throws PanamaxError `bad-input` as `parseSignature`
 */
export function parseSignatureImage(bytes: Uint8Array, where: string): ImageRecord {
  return readDocument(sectionsOf(bytes, where), where).image;
}

/** A profile whose table can be read by several threads. */
export interface StoredProfile {
  readonly head: ProfileHead;
  readonly table: SharedArrayBuffer;
}

/**
 * Reads and checks the profile of a signature.
 *
 * @throws PanamaxError `bad-input` as `parseSignature`
 */
export function parseProfile(bytes: Uint8Array, where: string): StoredProfile {
  const sections = sectionsOf(bytes, where);
  const document = readDocument(sections, where);
  const expanded = expandedSync(sections.profile, where);
  const table = new SharedArrayBuffer(expanded.length);
  new Uint8Array(table).set(expanded);
  openProfile(table, document.layers.length, where);
  return { head: profileHead(document), table };
}

/** The profile with views of its table, which has been checked. */
export function viewProfile({ head, table }: StoredProfile): Profile {
  return { ...head, columns: openTable(PROFILE, table, head.manifest) };
}

interface StoredSection {
  readonly bytes: Uint8Array;
  /** When expanded, in bytes. */
  readonly size: number;
}

function sectionsOf(bytes: Uint8Array, where: string): Readonly<Record<Section, StoredSection>> {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (head.length < HEAD_SIZE || head.toString('latin1', 0, MAGIC.length) !== MAGIC)
    throw damaged('no head', where);
  const version = head.readUInt32LE(VERSION_AT);
  if (version !== SIGNATURE_VERSION) {
    const facts = { expected: SIGNATURE_VERSION, found: version, where };
    throw new PanamaxError('bad-input', 'unknown signature version', facts);
  }
  if (crc32(head.subarray(SIZES_AT)) !== head.readUInt32LE(CHECKSUM_AT))
    throw damaged('it differs from its checksum', where);
  let at = HEAD_SIZE;
  const sections = SECTIONS.map((name, i): [Section, StoredSection] => {
    const start = at;
    at += head.readUInt32LE(SIZES_AT + 8 * i);
    return [name, { bytes: head.subarray(start, at), size: head.readUInt32LE(SIZES_AT + 8 * i + 4) }];
  });
  if (at !== head.length) throw damaged(`its sections take ${at} of ${head.length} bytes`, where);
  return Object.fromEntries(sections) as Record<Section, StoredSection>;
}

function readDocument(sections: Readonly<Record<Section, StoredSection>>, where: string): SignatureDocument {
  const record = asRecord(parseDocument(expandedSync(sections.document, where), where), where);
  const image = parseImageRecord(record['image'], `${where} image`);
  const layers = asArray(record['layers'], `${where} layers`);
  if (layers.length !== image.layers.length)
    throw damaged(`it has ${layers.length} of ${image.layers.length} layers`, where);
  return {
    image,
    contentDigest: parseDigest(record['contentDigest'], `${where} contentDigest`),
    contentSize: asSize(record['contentSize'], `${where} contentSize`),
    tlsh: parsedTlsh(record['tlsh'], `${where} tlsh`),
    layers: layers.map((value, i) => {
      const at = `${where} layers[${i}]`;
      const layer = asRecord(value, at);
      return {
        tlsh: parsedTlsh(layer['tlsh'], `${at} tlsh`),
        entries: asSize(layer['entries'], `${at} entries`),
      };
    }),
  };
}

function parsedTlsh(value: unknown, where: string): string | null {
  if (value === null) return null;
  const text = asString(value, where);
  parseTlsh(text, where);
  return text;
}

function expandedSync({ bytes, size }: StoredSection, where: string): Buffer {
  checkSize(size, where);
  try {
    return checked(zstdDecompressSync(bytes, bounds(size)), size, where);
  } catch (error) {
    throw ofSection(error, where);
  }
}

async function expanded({ bytes, size }: StoredSection, where: string): Promise<ArrayBuffer> {
  checkSize(size, where);
  try {
    const section = checked(await promisify(zstdDecompress)(bytes, bounds(size)), size, where);
    return new Uint8Array(section).buffer;
  } catch (error) {
    throw ofSection(error, where);
  }
}

function checkSize(size: number, where: string): void {
  if (size > MAX_SECTION) throw damaged(`it expands to more than ${MAX_SECTION} bytes`, where);
}

/** One piece of output, and an error for more. */
function bounds(size: number) {
  return { chunkSize: Math.max(64, size + 1), maxOutputLength: Math.max(1, size) };
}

function checked(section: Buffer, size: number, where: string): Buffer {
  if (section.length !== size) throw damaged(`a section has ${section.length} of ${size} bytes`, where);
  return section;
}

function ofSection(error: unknown, where: string): PanamaxError {
  return error instanceof PanamaxError ? error : damaged((error as Error).message, where);
}

function damaged(why: string, where: string): PanamaxError {
  return new PanamaxError('bad-input', `damaged signature: ${why}`, { where });
}
