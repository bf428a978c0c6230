import type { Digest } from '../digest.ts';
import { asSize, asString, parseVersioned } from '../json.ts';
import { parseImageName, type ImageName } from './descriptor.ts';
import { PanamaxError } from '../errors.ts';
import { formatReleaseName, parseReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import { parseSignature, type Sign, type Signature } from './key.ts';
import { keys } from './keys.ts';
import { isKey, type Store, type StoreReader } from './objects/store.ts';

const NAME_VERSION = 1;

/** What an image's name stands for on one platform (docs/formats.md). */
export interface NameRecord {
  /** In full, with a tag. */
  readonly name: string;
  /** `os/architecture[/variant]` */
  readonly platform: string;
  readonly target: ImageName;
  /** Higher each time the name gets another target: milliseconds since 1970, or one more than before. */
  readonly sequence: number;
  /** Of `nameStatement`. */
  readonly signature?: Signature;
}

export function nameStatement({ name, platform, target, sequence }: NameRecord): string {
  const { manifest, config, layers, size } = target;
  return JSON.stringify(['panamax-name', 1, name, platform, manifest, config, layers, size, sequence]);
}

/**
 * Makes a name stand for an image from now on. What it stood for before is kept beside, for who cleans up. The same
 * again changes nothing, but for a signature by another key.
 */
export async function writeName(
  store: Store,
  { repository, tag }: ReleaseName,
  platform: string,
  target: ImageName,
  sign: Sign | undefined,
): Promise<NameRecord> {
  const key = keys.name(repository, tag!, platform);
  if (!isKey(key))
    throw new PanamaxError('bad-input', 'a platform that cannot be a key', { found: platform });
  // a damaged one is replaced
  const before = await readSoundName(store, key);
  const isSame = before?.target.manifest === target.manifest && before.target.config === target.config;
  const sequence = isSame ? before.sequence : Math.max(Date.now(), (before?.sequence ?? 0) + 1);
  const name = formatReleaseName({ repository, ...(tag !== undefined && { tag }) });
  const unsigned: NameRecord = { name, platform, target, sequence };
  const record = sign ? { ...unsigned, signature: sign(nameStatement(unsigned)) } : unsigned;
  if (isSame && before.name === name && before.signature?.value === record.signature?.value) return before;
  const document = nameDocument(record);
  await store.put(keys.pastName(repository, tag!, platform, sequence), document);
  await store.put(key, document);
  return record;
}

/**
 * What a name stands for. A platform's variant is left out where there is nothing for it.
 *
 * @returns undefined where nothing is known of it
 * @throws PanamaxError `bad-input`; `untrusted` for another name's record under this one
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

/** Names that are read at a time. */
const BATCH = 32;

/** What images are called now: of several names the one that was given last. Damaged records name nothing. */
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

/** Whether a key below `names/` is of what a name has stood for, not of what it stands for. */
export function isPast(key: string): boolean {
  return /\/\d{16}\.json$/.test(key);
}

/** Undefined also for a damaged one. */
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

/** @throws PanamaxError `bad-input` */
export function parseName(bytes: Uint8Array, where: string): NameRecord {
  const record = parseVersioned(bytes, NAME_VERSION, 'unknown version of name', where);
  const name = asString(record['name'], `${where} name`);
  try {
    if (parseReleaseName(name).tag === undefined) throw new Error('no tag');
  } catch {
    throw new PanamaxError('bad-input', 'not a name with a tag', { found: name, where });
  }
  const signature = parseSignature(record['signature'], where);
  return {
    name,
    platform: asString(record['platform'], `${where} platform`),
    target: parseImageName(record['target'], `${where} target`),
    sequence: asSize(record['sequence'], `${where} sequence`),
    ...(signature && { signature }),
  };
}
