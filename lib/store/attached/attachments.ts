import { isUtf8 } from 'node:buffer';
import * as v from 'valibot';
import { digestOf, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { parseVersioned } from '../../json.ts';
import { digestSchema, objectSchema, parseWith, type Checked } from '../../schema.ts';
import { checkSeal, sealDocument } from '../../sealed.ts';
import { keys } from '../keys.ts';
import type { Store, StoreReader } from '../objects/store.ts';

/** Signatures, attestations and other artifacts of an image, as other programs have attached them (docs/formats.md). */

const VERSION = 1;
/** Artifacts of one image. */
export const MAX_ARTIFACTS = 32;
/** Blobs of one artifact. */
export const MAX_BLOBS = 64;
/** One blob, or one index with the image, in bytes. */
export const MAX_BLOB = 1024 ** 2;
/** All manifests and blobs of an image's artifacts, in bytes. */
export const MAX_ATTACHED = 8 * 1024 ** 2;
const MAX_INDEXES = 8;
/** Artifact types of cosign's signatures among the referrers. */
const SIGNATURE = /^application\/vnd\.dev\.(cosign|sigstore)\./;

const artifactSchema = objectSchema({
  /** The image's manifest, or an index with the image. */
  subject: digestSchema,
  /** The tag of an artifact that is found by one: `sha256-HEX.sig`. */
  tag: v.exactOptional(
    v.pipe(v.string(), v.regex(/^sha256-[0-9a-f]{64}\.(sig|att|sbom)$/, 'a tag of cosign')),
  ),
  artifactType: v.exactOptional(v.string()),
  mediaType: v.string(),
  digest: digestSchema,
  /** The manifest, byte for byte. */
  document: v.string(),
});

/** The length is checked before the items. */
function listSchema<const Item extends v.GenericSchema>(item: Item, most: number) {
  const short = v.custom<unknown[]>(
    (value) => Array.isArray(value) && value.length <= most,
    `a list of at most ${most}`,
  );
  return v.pipe(short, v.array(item));
}

const attachmentsSchema = objectSchema({
  target: digestSchema,
  /** The image's manifest, byte for byte: it proves the image ID. */
  manifest: v.string(),
  /** Indexes with the image, byte for byte. A signature of one of them is one of the image, too. */
  indexes: listSchema(v.string(), MAX_INDEXES),
  artifacts: listSchema(artifactSchema, MAX_ARTIFACTS),
  blobs: listSchema(objectSchema({ digest: digestSchema, base64: v.string() }), MAX_BLOBS * MAX_ARTIFACTS),
  /** Artifacts that were too large, or unreadable. */
  left: listSchema(objectSchema({ digest: digestSchema, why: v.string() }), 1000),
});

export type Artifact = Checked<typeof artifactSchema>;

export interface Attachments {
  readonly target: Digest;
  readonly manifest: string;
  readonly indexes: readonly string[];
  readonly artifacts: readonly Artifact[];
  readonly blobs: ReadonlyMap<Digest, Buffer>;
  readonly left: readonly { readonly digest: Digest; readonly why: string }[];
  /** The place did not tell all: the first error that may pass. It is not stored. */
  readonly failure?: PanamaxError;
}

/** Whether cosign's signatures may be in an artifact. */
export function isSignature({ tag, artifactType = '' }: Pick<Artifact, 'tag' | 'artifactType'>): boolean {
  return tag?.endsWith('.sig') === true || SIGNATURE.test(artifactType);
}

export function serializeAttachments({
  target,
  manifest,
  indexes,
  artifacts,
  blobs,
  left,
}: Attachments): Buffer {
  const encoded = [...blobs].map(([digest, bytes]) => ({ digest, base64: bytes.toString('base64') }));
  const document = { version: VERSION, target, manifest, indexes, artifacts, blobs: encoded, left };
  return sealDocument(document, 2);
}

/**
 * Parses the document and compares all digests in it.
 *
 * @throws PanamaxError `bad-input`, also for the attachments of another image; `limit`
 */
export function parseAttachments(bytes: Uint8Array, target: Digest, where: string): Attachments {
  checkSeal(bytes, where);
  const record = parseVersioned(bytes, VERSION, 'unknown version of attachments', where);
  const found = parseWith(attachmentsSchema, record, where);
  const check = (expected: Digest, content: string | Uint8Array) => {
    const digest = digestOf(content);
    if (digest === expected) return;
    throw new PanamaxError('bad-input', 'digest mismatch', { expected, found: digest, where });
  };
  if (found.target !== target) {
    const facts = { expected: target, found: found.target, where };
    throw new PanamaxError('bad-input', 'attachments of another image', facts);
  }
  check(target, found.manifest);
  const blobs = new Map<Digest, Buffer>();
  let size = found.artifacts.reduce((sum, { document }) => sum + document.length, 0);
  for (const { digest, base64 } of found.blobs) {
    const blob = Buffer.from(base64, 'base64');
    size += blob.length;
    if (blob.length > MAX_BLOB) throw tooLarge(MAX_BLOB, blob.length, `${where} ${digest}`);
    check(digest, blob);
    blobs.set(digest, blob);
  }
  if (size > MAX_ATTACHED) throw tooLarge(MAX_ATTACHED, size, where);
  for (const { digest, document } of found.artifacts) check(digest, document);
  return { ...found, blobs };
}

/** @returns undefined without any. @throws PanamaxError `bad-input` */
export async function readAttachments(reader: StoreReader, target: Digest): Promise<Attachments | undefined> {
  const key = keys.attachments(target);
  const bytes = await reader.get(key);
  return bytes && parseAttachments(bytes, target, `${reader.where} ${key}`);
}

/**
 * Adds attachments to those that the store has of the image: another registry may have others.
 *
 * @returns whether the store has others now
 */
export async function keepAttachments(store: Store, found: Attachments): Promise<boolean> {
  if (found.artifacts.length === 0) return false;
  const known = await readAttachments(store, found.target).catch((error: unknown) => {
    if (error instanceof PanamaxError && /^(bad-input|limit)$/.test(error.kind)) return undefined;
    throw error;
  });
  const bytes = serializeAttachments(known ? merge(found, known) : found);
  const key = keys.attachments(found.target);
  if ((await store.get(key))?.equals(bytes)) return false;
  await store.put(key, bytes);
  return true;
}

/** Of more than the bounds allow, signatures stay before others, and new artifacts before known ones. */
function merge(found: Attachments, known: Attachments): Attachments {
  const others = known.artifacts.filter(({ digest, tag }) =>
    found.artifacts.every(
      (artifact) => artifact.digest !== digest && (tag === undefined || artifact.tag !== tag),
    ),
  );
  const all = new Map([...known.blobs, ...found.blobs]);
  const blobs = new Map<Digest, Buffer>();
  const artifacts: Artifact[] = [];
  let size = 0;
  for (const artifact of signaturesFirst([...found.artifacts, ...others])) {
    const own = [...all].filter(([digest]) => !blobs.has(digest) && artifact.document.includes(digest));
    const more = own.reduce((sum, [, { length }]) => sum + length, Buffer.byteLength(artifact.document));
    if (artifacts.length === MAX_ARTIFACTS || size + more > MAX_ATTACHED) continue;
    size += more;
    artifacts.push(artifact);
    for (const [digest, blob] of own) blobs.set(digest, blob);
  }
  const indexes = [...new Set([...found.indexes, ...known.indexes])].slice(0, MAX_INDEXES);
  return { ...found, indexes, artifacts, blobs };
}

/** The order of others stays. */
export function signaturesFirst<Item extends Pick<Artifact, 'tag' | 'artifactType'>>(
  artifacts: readonly Item[],
): Item[] {
  return artifacts.toSorted((a, b) => Number(isSignature(b)) - Number(isSignature(a)));
}

export function tooLarge(expected: number, found: number, where: string): PanamaxError {
  return new PanamaxError('limit', 'artifact is too large', {
    expected: `at most ${expected} bytes`,
    found,
    where,
  });
}

/** The text of a document that can be kept byte for byte; undefined for other bytes. */
export function textOf(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) && bytes[0] !== 0xef ? Buffer.from(bytes).toString('utf8') : undefined;
}
