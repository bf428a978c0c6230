import { isDeepStrictEqual } from 'node:util';
import { PanamaxError } from '../errors.ts';
import { formatReleaseName, parseReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import type { ImageIdentity } from './descriptor.ts';
import type { NameTerms, Sign } from './key.ts';
import { keys } from './keys.ts';
import { isPast, nameDocument, nameStatement, readSoundName, type NameRecord } from './name.ts';
import { checkExpiry, checkSequence } from './nametrust.ts';
import { isKey, type Store } from './objects/store.ts';

export interface NameSettings {
  /** Signs the record. Then only a record that one of its keys has signed decides the next sequence. */
  readonly sign?: Sign | undefined;
  /** Begins anew with the present time, even after a sequence of the future or a record of another store. */
  readonly resetSequence?: boolean;
}

/**
 * Makes a name stand for an image from now on. Earlier records are kept for the garbage collection. A repeated call
 * changes nothing unless another key signs or half of the record's lifetime is over.
 *
 * @throws PanamaxError `bad-input` for a platform that cannot be part of a store key; `untrusted` if the earlier record
 *   has a sequence of the future; `usage` if it has terms that this one would lose
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
  const terms = sign?.terms ?? {};
  // a damaged record, and one that anybody may have written, is replaced
  const found = resetSequence ? undefined : await readSoundName(store, key);
  const before = found && isOwn(found, { name, platform }, sign) ? found : undefined;
  const where = `${store.where} ${key}`;
  if (before) checkSequence(before, `${where}, --reset-sequence replaces it`);
  if (before && sign) checkTerms(before, terms, where);
  const isSame = before?.target.manifest === target.manifest && before.target.config === target.config;
  const expires = expiryOf(isSame ? before : undefined, terms);
  // sites do not accept the same sequence without the expiry
  const keepsSequence = isSame && (before.expires === undefined || expires !== undefined);
  const sequence = keepsSequence ? before.sequence : Math.max(Date.now(), (before?.sequence ?? 0) + 1);
  const unsigned: NameRecord = {
    name,
    platform,
    target,
    sequence,
    ...(terms.store !== undefined && { store: terms.store }),
    ...(expires !== undefined && { expires }),
  };
  const record = sign ? { ...unsigned, ...sign(nameStatement(unsigned)) } : unsigned;
  if (isSame && isDeepStrictEqual(before, record)) return before;
  const document = nameDocument(record);
  await store.put(keys.pastName(repository, tag!, platform, sequence), document);
  await store.put(key, document);
  return record;
}

/** Refuses to drop the expiry of a name, or its store, by a forgotten option. @throws PanamaxError `usage` */
function checkTerms(before: NameRecord, { store, lifetime }: NameTerms, where: string): void {
  const { name } = before;
  if (before.store !== undefined && before.store !== store) {
    throw new PanamaxError('usage', `the record of ${name} is for another store`, {
      expected: `--store-name ${before.store}, or panamax tag --reset-sequence`,
      found: store ?? 'none',
      where,
    });
  }
  if (before.expires === undefined || lifetime !== undefined) return;
  throw new PanamaxError('usage', `the record of ${name} expires, and its successor would not`, {
    expected: '--expires DURATION, or --expires never',
    found: 'none',
    where,
  });
}

/** The expiry of the next record: that of the present one until half of the lifetime is over. */
function expiryOf(before: NameRecord | undefined, { lifetime }: NameTerms): number | undefined {
  if (lifetime === undefined || lifetime === 'never') return undefined;
  const now = Date.now();
  const left = (before?.expires ?? 0) - now;
  return left > lifetime / 2 && left <= lifetime ? before!.expires : now + lifetime;
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
    sign.verify(nameStatement(record), record, name);
    return true;
  } catch {
    return false;
  }
}

/** A name in `renewNames`. */
export interface Renewal {
  readonly record: NameRecord;
  /** `kept`: less than half of its lifetime is over. */
  readonly outcome: 'renewed' | 'kept' | 'refused';
  /** Why it was refused. */
  readonly why?: string;
}

/**
 * Signs the current records of a store anew before they expire. An expired record is refused, and so is one that is
 * older than a signed past one: who can write to the store could have put it back, and a new signature would make it
 * fresh. Records that the keys have not signed are left out.
 *
 * @throws PanamaxError errors of the store; the reason of an abort
 */
export async function renewNames(store: Store, sign: Sign, signal: AbortSignal): Promise<Renewal[]> {
  const renewals: Renewal[] = [];
  const all = await Array.fromAsync(store.list(keys.names));
  for (const key of all.filter((one) => !isPast(one))) {
    signal.throwIfAborted();
    const found = await readSoundName(store, key);
    if (!found || !isOwn(found, found, sign)) continue;
    const name = parseReleaseName(found.name);
    if (keys.name(name.repository, name.tag!, found.platform) !== key) continue;
    try {
      checkExpiry(found, `${store.where} ${key}`);
      await checkLatest(store, found, key, all, sign);
      const record = await writeName(store, name, found.platform, found.target, { sign });
      renewals.push({ record, outcome: isDeepStrictEqual(record, found) ? 'kept' : 'renewed' });
    } catch (error) {
      if (!(error instanceof PanamaxError && /^(expired|untrusted|usage)$/.test(error.kind))) throw error;
      renewals.push({ record: found, outcome: 'refused', why: error.message });
    }
  }
  return renewals;
}

/** @throws PanamaxError `untrusted` */
async function checkLatest(
  store: Store,
  current: NameRecord,
  key: string,
  all: readonly string[],
  sign: Sign,
): Promise<void> {
  const past = `${key.slice(0, -'.json'.length)}/`;
  const own = keyOfSequence(current);
  for (const other of all.filter((one) => one.startsWith(past) && one > own)) {
    const record = await readSoundName(store, other);
    if (!record || !isOwn(record, current, sign) || record.sequence <= current.sequence) continue;
    throw new PanamaxError('untrusted', `the current record of ${current.name} is older than a past one`, {
      expected: `sequence ${record.sequence}`,
      found: current.sequence,
      where: `${store.where} ${key}`,
    });
  }
}

function keyOfSequence({ name, platform, sequence }: NameRecord): string {
  const { repository, tag } = parseReleaseName(name);
  return keys.pastName(repository, tag!, platform, sequence);
}
