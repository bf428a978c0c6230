import * as v from 'valibot';
import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { formatReleaseName, parseReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import { parseVersioned } from '../json.ts';
import { objectSchema, parseWith, sizeSchema } from '../schema.ts';
import { imageSchema, type ImageIdentity } from './descriptor.ts';
import { signatureSchema, type Sign, type Signature } from './key.ts';
import { keys } from './keys.ts';
import { isKey, type Store, type StoreReader } from './objects/store.ts';

const NAME_VERSION = 1;

/** The image that a name stands for on one platform (docs/formats.md). */
export interface NameRecord {
  /** In full, with a tag. */
  readonly name: string;
  /** `os/architecture[/variant]` */
  readonly platform: string;
  readonly target: ImageIdentity;
  /** Grows with each new target of the name: milliseconds since 1970, or the previous value plus one. */
  readonly sequence: number;
  /** Signature of `nameStatement`. */
  readonly signature?: Signature;
}

export function nameStatement({ name, platform, target, sequence }: NameRecord): string {
  const { manifest, config, layers, size } = target;
  return JSON.stringify(['panamax-name', 1, name, platform, manifest, config, layers, size, sequence]);
}

/** How far a sequence may be ahead of this machine's clock, in milliseconds. */
const MAX_AHEAD = 24 * 3600 * 1000;

/**
 * Refuses a sequence that is more than a day ahead of the clock. A record with it would outrank all later records of
 * the name.
 *
 * @throws PanamaxError `untrusted`
 */
export function checkSequence({ name, sequence }: NameRecord, where: string): void {
  const latest = Date.now() + MAX_AHEAD;
  if (sequence <= latest) return;
  throw new PanamaxError('untrusted', `the record of ${name} is of the future`, {
    expected: `a sequence of at most a day ahead of this machine's clock, ${latest}`,
    found: sequence,
    where,
  });
}

export interface NameSettings {
  /** Signs the record. Then only a record that this key has signed decides the next sequence. */
  readonly sign?: Sign | undefined;
  /** Begins anew with the present time, even after a sequence of the future. */
  readonly resetSequence?: boolean;
}

/**
 * Makes a name stand for an image from now on. Earlier records are kept for the garbage collection. A repeated call
 * changes nothing unless another key signs.
 *
 * @throws PanamaxError `bad-input` for a platform that cannot be part of a store key; `untrusted` if the earlier record
 *   has a sequence of the future
 */
export async function writeName(
  store: Store,
  { repository, tag }: ReleaseName,
  platform: string,
  target: ImageIdentity,
  { sign, resetSequence = false }: NameSettings = {},
): Promise<NameRecord> {
  const key = keys.name(repository, tag!, platform);
  if (!isKey(key))
    throw new PanamaxError('bad-input', 'a platform that cannot be a key', { found: platform });
  const name = formatReleaseName({ repository, ...(tag !== undefined && { tag }) });
  // a damaged record, and one that anybody may have written, is replaced
  const found = resetSequence ? undefined : await readSoundName(store, key);
  const before = found && isOwn(found, { name, platform }, sign) ? found : undefined;
  if (before) checkSequence(before, `${store.where} ${key}, --reset-sequence replaces it`);
  const isSame = before?.target.manifest === target.manifest && before.target.config === target.config;
  const sequence = isSame ? before.sequence : Math.max(Date.now(), (before?.sequence ?? 0) + 1);
  const unsigned: NameRecord = { name, platform, target, sequence };
  const record = sign ? { ...unsigned, signature: sign(nameStatement(unsigned)) } : unsigned;
  if (isSame && before.signature?.value === record.signature?.value) return before;
  const document = nameDocument(record);
  await store.put(keys.pastName(repository, tag!, platform, sequence), document);
  await store.put(key, document);
  return record;
}

/** Whether a record is of the name and, with a key, signed by it. */
function isOwn(
  record: NameRecord,
  { name, platform }: Pick<NameRecord, 'name' | 'platform'>,
  sign: Sign | undefined,
): boolean {
  if (record.name !== name || record.platform !== platform) return false;
  if (!sign) return true;
  try {
    sign.verify(nameStatement(record), record.signature, name);
    return true;
  } catch {
    return false;
  }
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

/** Current names of images: the latest one of an image with several names. Skips damaged records. */
export async function namesOf(
  store: Store,
  images: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, string>> {
  const current = (await Array.fromAsync(store.list(keys.names))).filter((key) => !isPast(key));
  const latest = new Map<Digest, NameRecord>();
  for (let at = 0; at < current.length; at += BATCH) {
    signal.throwIfAborted();
    const batch = current.slice(at, at + BATCH).map((key) => readSoundName(store, key));
    for (const record of await Promise.all(batch)) {
      if (!record || !images.has(record.target.manifest)) continue;
      const known = latest.get(record.target.manifest);
      if (!known || known.sequence < record.sequence) latest.set(record.target.manifest, record);
    }
  }
  return new Map([...latest].map(([image, { name }]) => [image, name]));
}

/** Whether a key below `names/` belongs to an earlier record of a name. */
export function isPast(key: string): boolean {
  return /\/\d{16}\.json$/.test(key);
}

/** As `readNameAt`, but undefined for a damaged record. */
async function readSoundName(store: StoreReader, key: string): Promise<NameRecord | undefined> {
  try {
    return await readNameAt(store, key);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

export function nameDocument(record: NameRecord): Buffer {
  return Buffer.from(`${JSON.stringify({ version: NAME_VERSION, ...record }, null, 2)}\n`);
}

const nameSchema = objectSchema({
  name: v.custom<string>(isTaggedName, 'a name with a tag'),
  platform: v.string(),
  target: imageSchema,
  sequence: sizeSchema,
  signature: v.exactOptional(signatureSchema),
});

/** @throws PanamaxError `bad-input` */
export function parseName(bytes: Uint8Array, where: string): NameRecord {
  return parseWith(nameSchema, parseVersioned(bytes, NAME_VERSION, 'unknown version of name', where), where);
}

function isTaggedName(value: unknown): boolean {
  try {
    return typeof value === 'string' && parseReleaseName(value).tag !== undefined;
  } catch {
    return false;
  }
}
