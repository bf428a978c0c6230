import { sealDocument } from '../sealed.ts';
import * as v from 'valibot';
import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { parseReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import { asRecord, parseDocument } from '../json.ts';
import { objectSchema, parseWith, sizeSchema } from '../schema.ts';
import { imageSchema, type ImageIdentity } from './descriptor.ts';
import { signedEntries, type Signed } from './key.ts';
import { keys } from './keys.ts';
import { type Store, type StoreReader } from './objects/store.ts';

/** Version of a record without terms. With terms it is 2: a reader that does not know them must not use the record. */
const NAME_VERSION = 1;
const TERMS_VERSION = 2;

/** Form of a store's name, for messages. */
export const STORE_NAME_EXPECTED = 'up to 64 lower-case letters, digits, dots, hyphens and underscores';

/**
 * The image that a name stands for on one platform (docs/formats.md). The owners of the store sign `nameStatement`.
 */
export interface NameRecord extends Signed {
  /** In full, with a tag. */
  readonly name: string;
  /** `os/architecture[/variant]` */
  readonly platform: string;
  readonly target: ImageIdentity;
  /** Grows with each new target of the name: milliseconds since 1970, or the previous value plus one. */
  readonly sequence: number;
  /** Name of the store that the record is for. */
  readonly store?: string;
  /** Time after which no site uses the record, in milliseconds since 1970. */
  readonly expires?: number;
}

/** The signed text. Leaving out the terms gives another text, so that they cannot be removed from a signed record. */
export function nameStatement({ name, platform, target, sequence, store, expires }: NameRecord): string {
  const { manifest, config, layers, size } = target;
  const facts = [name, platform, manifest, config, layers, size, sequence];
  if (store === undefined && expires === undefined) return JSON.stringify(['panamax-name', 1, ...facts]);
  return JSON.stringify(['panamax-name', 2, ...facts, store ?? null, expires ?? null]);
}

/**
 * Reads the record of a name. Without a record for the platform's variant, the one for the platform without a variant
 * is taken.
 *
 * @returns undefined for an unknown name
 * @throws PanamaxError `bad-input`; `untrusted` for the record of another name under this name's key
 */
export async function readName(
  store: StoreReader,
  { repository, tag }: ReleaseName,
  platform: string,
): Promise<NameRecord | undefined> {
  const [os, architecture, variant] = platform.split('/');
  const platforms = variant ? [platform, `${os}/${architecture}`] : [platform];
  for (const candidate of platforms) {
    const key = keys.name(repository, tag!, candidate);
    const record = await readNameAt(store, key);
    if (!record) continue;
    const expected = `${repository}:${tag} ${candidate}`;
    const found = `${record.name} ${record.platform}`;
    if (expected === found) return record;
    throw new PanamaxError('untrusted', 'record of another name', { expected, found, where: store.where });
  }
  return undefined;
}

/** @throws PanamaxError `bad-input` */
export async function readNameAt(store: StoreReader, key: string): Promise<NameRecord | undefined> {
  const bytes = await store.get(key);
  return bytes && parseName(bytes, `${store.where} ${key}`);
}

/** Number of names that are read concurrently. */
const BATCH = 32;

/** Current names of a store. Skips damaged records. */
export async function currentNames(store: Store, signal: AbortSignal): Promise<NameRecord[]> {
  const current = (await Array.fromAsync(store.list(keys.names))).filter((key) => !isPast(key));
  const names: NameRecord[] = [];
  for (let at = 0; at < current.length; at += BATCH) {
    signal.throwIfAborted();
    const batch = current.slice(at, at + BATCH).map((key) => readSoundName(store, key));
    for (const record of await Promise.all(batch)) if (record) names.push(record);
  }
  return names;
}

/** Current names of images: the latest one of an image with several names. Skips damaged records. */
export async function namesOf(
  store: Store,
  images: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, string>> {
  const latest = new Map<Digest, NameRecord>();
  for (const record of await currentNames(store, signal)) {
    if (!images.has(record.target.manifest)) continue;
    const known = latest.get(record.target.manifest);
    if (!known || known.sequence < record.sequence) latest.set(record.target.manifest, record);
  }
  return new Map([...latest].map(([image, { name }]) => [image, name]));
}

/** Whether a key below `names/` belongs to an earlier record of a name. */
export function isPast(key: string): boolean {
  return /\/\d{16}\.json$/.test(key);
}

/** As `readNameAt`, but undefined for a damaged record. */
export async function readSoundName(store: StoreReader, key: string): Promise<NameRecord | undefined> {
  try {
    return await readNameAt(store, key);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

export function nameDocument(record: NameRecord): Buffer {
  const hasTerms = record.store !== undefined || record.expires !== undefined;
  const document = { version: hasTerms ? TERMS_VERSION : NAME_VERSION, ...record };
  return sealDocument(document, 2);
}

const entries = {
  name: v.custom<string>(isTaggedName, 'a name with a tag'),
  platform: v.string(),
  target: imageSchema,
  sequence: sizeSchema,
};

const nameSchema = objectSchema({ ...entries, ...signedEntries });

const termsSchema = objectSchema({
  ...entries,
  store: v.exactOptional(v.custom<string>(isStoreName, STORE_NAME_EXPECTED)),
  expires: v.exactOptional(sizeSchema),
  ...signedEntries,
});

/** @throws PanamaxError `bad-input` */
export function parseName(bytes: Uint8Array, where: string): NameRecord {
  const record = asRecord(parseDocument(bytes, where), where);
  const { version } = record;
  if (version === NAME_VERSION) return parseWith(nameSchema, record, where);
  if (version === TERMS_VERSION) return parseWith(termsSchema, record, where);
  throw new PanamaxError('bad-input', 'unknown version of name', {
    expected: `${NAME_VERSION} or ${TERMS_VERSION}`,
    found: JSON.stringify(version),
    where,
  });
}

export function isStoreName(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z0-9][a-z0-9._-]{0,63}$/.test(value);
}

function isTaggedName(value: unknown): boolean {
  try {
    return typeof value === 'string' && parseReleaseName(value).tag !== undefined;
  } catch {
    return false;
  }
}
