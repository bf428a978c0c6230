import { parseDigest, type Digest } from '../../digest.ts';
import { parseImageRecord, type ImageRecord } from '../../image/record.ts';
import { asArray, asRecord, asSize, asString, parseDocument } from '../../json.ts';
import { SIGNATURE_VERSION } from '../../store/keys.ts';
import { openListing, packListing } from './listing.ts';
import { openProfile, packProfile, PROFILE, profileHead, type Profile, type ProfileHead } from './profile.ts';
import {
  damaged,
  expandSection,
  expandSectionSync,
  openSections,
  packSections,
  readFirstSection,
  type StoredSection,
} from './sections.ts';
import type { Signature } from './signature.ts';
import { openTable } from './table.ts';
import { parseTlsh } from './tlsh.ts';

/** The stored form of a signature (docs/formats.md). */

const SCHEME = {
  magic: 'PanamaxS',
  version: SIGNATURE_VERSION,
  names: ['document', 'profile', 'listing'],
  noun: 'signature',
} as const;
type Sections = Readonly<Record<(typeof SCHEME.names)[number], StoredSection>>;

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
  return packSections(SCHEME, {
    document: Buffer.from(JSON.stringify(document satisfies SignatureDocument)),
    profile: packProfile(signature),
    listing: packListing(signature),
  });
}

/**
 * Reads a stored signature as a whole.
 *
 * @throws PanamaxError `bad-input` for a damaged signature or one of another version
 */
export async function parseSignature(bytes: Uint8Array, where: string): Promise<Signature> {
  const sections = openSections(SCHEME, bytes, where);
  const { layers, ...document } = readDocument(sections, where);
  const [profile, listing] = await Promise.all([
    expandSection(sections.profile, SCHEME.noun, where),
    expandSection(sections.listing, SCHEME.noun, where),
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
  return readDocument(openSections(SCHEME, bytes, where), where).image;
}

/**
 * Reads the record of a signature's image from its first bytes. The checksum, which is of all bytes, is not compared.
 *
 * @throws PanamaxError `bad-input`
 */
export async function readSignatureImage(
  chunks: AsyncIterable<Uint8Array>,
  where: string,
): Promise<ImageRecord> {
  return readDocument({ document: await readFirstSection(SCHEME, chunks, where) }, where).image;
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
  const sections = openSections(SCHEME, bytes, where);
  const document = readDocument(sections, where);
  const expanded = expandSectionSync(sections.profile, SCHEME.noun, where);
  const table = new SharedArrayBuffer(expanded.length);
  new Uint8Array(table).set(expanded);
  openProfile(table, document.layers.length, where);
  return { head: profileHead(document), table };
}

/** The profile with views of its table, which has been checked. */
export function viewProfile({ head, table }: StoredProfile): Profile {
  return { ...head, columns: openTable(PROFILE, table, head.manifest) };
}

function readDocument(sections: Pick<Sections, 'document'>, where: string): SignatureDocument {
  const record = asRecord(
    parseDocument(expandSectionSync(sections.document, SCHEME.noun, where), where),
    where,
  );
  const image = parseImageRecord(record['image'], `${where} image`);
  const layers = asArray(record['layers'], `${where} layers`);
  if (layers.length !== image.layers.length)
    throw damaged(SCHEME.noun, `it has ${layers.length} of ${image.layers.length} layers`, where);
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

export function parsedTlsh(value: unknown, where: string): string | null {
  if (value === null) return null;
  const text = asString(value, where);
  parseTlsh(text, where);
  return text;
}
