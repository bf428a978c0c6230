import { digestOf, hexOf, type Digest } from '../../digest.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import { PanamaxError } from '../../errors.ts';
import { isTransientFailure, StatusError } from '../../runtime/http/retry.ts';
import { parseDescriptor, type Descriptor } from '../oci/descriptor.ts';
import { MEDIA_TYPES } from '../oci/manifest.ts';
import { registryError } from './error.ts';
import { readPages } from './pages.ts';
import { pushManifest } from './push.ts';
import type { Repository } from './registry.ts';

export interface Referrer extends Descriptor {
  readonly artifactType: string;
}

const MAX_REFERRERS = 10_000;
const ATTEMPTS = 5;

/**
 * Lists the referrers of a manifest (distribution-spec, "Listing Referrers"): by the API, or from the index under the
 * tag `sha256-HEX`. The tag is read if the API answers with anything but an index, and if it lists nothing: there are
 * registries that answer so although they list no referrers at all.
 *
 * @throws PanamaxError `io` if the API fails for the moment and there is no tag, or if the list breaks off
 */
export async function listReferrers(repository: Repository, subject: Digest): Promise<Referrer[]> {
  const referrers: Referrer[] = [];
  const { entries, failure } = await listEntries(repository, subject);
  if (failure) throw registryError(failure, `${repository.where} referrers of ${subject}`);
  for (const referrer of entries) {
    referrers.push(VAGUE.test(referrer.artifactType) ? await described(repository, referrer) : referrer);
  }
  return referrers;
}

/** Artifact types that need a look at the manifest: some registries list the media type of the config instead. */
const VAGUE = /^$|^application\/vnd\.oci\.empty\.v1\+json$|^application\/vnd\.panamax\.[a-z0-9.]+\+json$/;

async function described(repository: Repository, referrer: Referrer): Promise<Referrer> {
  const where = `${repository.where} ${referrer.digest}`;
  try {
    const { bytes } = await repository.getManifest(referrer.digest);
    const { artifactType, annotations } = asRecord(parseDocument(bytes, where), where);
    if (typeof artifactType !== 'string') return referrer;
    return { ...referrer, artifactType, ...(isStrings(annotations) && { annotations }) };
  } catch (error) {
    if (error instanceof PanamaxError && /^(bad-input|not-found)$/.test(error.kind)) return referrer;
    throw error;
  }
}

function isStrings(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' && value !== null && Object.values(value).every((v) => typeof v === 'string')
  );
}

interface Listing {
  readonly entries: readonly Referrer[];
  /** Whether the API is what a site reads; else it is the tag. */
  readonly isByApi: boolean;
  /** Whether the API fails for the moment. */
  readonly isDown: boolean;
  /** The failure of the API, if there is no tag: the list may be in the API alone, which may answer later. */
  readonly failure?: unknown;
}

async function listEntries(repository: Repository, subject: Digest): Promise<Listing> {
  const byApi = await listByApi(repository, subject);
  if (byApi.entries.length > 0) return { entries: byApi.entries, isByApi: true, isDown: false };
  const isDown = isTransientFailure(byApi.refusal);
  const tagged = await listByTag(repository, subject);
  if (tagged) return { entries: tagged, isByApi: false, isDown };
  return isDown
    ? { entries: [], isByApi: false, isDown, failure: byApi.refusal }
    : { entries: [], isByApi: byApi.refusal === undefined, isDown };
}

/** @returns undefined without a list under the tag */
async function listByTag(repository: Repository, subject: Digest): Promise<Referrer[] | undefined> {
  const tagged = await readTag(repository, subject);
  return tagged.kind === 'index' ? parseReferrers(tagged.items, repository.where) : undefined;
}

/** The registry's first answer is no list of referrers. The cause is the refusal, if it was one. */
class NoApi extends Error {}

/** @returns no entries and the reason if the first answer is no list. @throws PanamaxError */
async function listByApi(
  repository: Repository,
  subject: Digest,
): Promise<{ readonly entries: readonly Referrer[]; readonly refusal?: unknown }> {
  const where = `${repository.where} referrers of ${subject}`;
  const found: Referrer[] = [];
  let isFirst = true;
  const read = async (address: URL) => {
    try {
      return await repository.getDocument(address, MEDIA_TYPES.ociIndex);
    } catch (error) {
      if (isFirst && isAnswer(error)) throw new NoApi('refused', { cause: error });
      throw registryError(error, where);
    }
  };
  const parse = (bytes: Buffer) => {
    const items = itemsOf(bytes);
    if (!items && isFirst) throw new NoApi('no index');
    if (!items) throw new PanamaxError('io', 'the list of referrers breaks off', { where });
    isFirst = false;
    return items;
  };
  try {
    for await (const items of readPages(repository.url(`referrers/${subject}`), read, parse, where)) {
      found.push(...parseReferrers(items, where));
      if (found.length > MAX_REFERRERS) {
        const expected = `at most ${MAX_REFERRERS}`;
        throw new PanamaxError('limit', 'too many referrers', { expected, where });
      }
    }
  } catch (error) {
    if (error instanceof NoApi) return { entries: [], refusal: error.cause ?? error };
    throw error;
  }
  return { entries: found };
}

/** Whether the registry has answered: with a status, a body that cannot be decoded, a redirect to nowhere. */
function isAnswer(error: unknown): boolean {
  return error instanceof StatusError || (error instanceof PanamaxError && error.kind === 'io');
}

/** Entries of an index; undefined for any other document. Null in place of the list is an empty one. */
function itemsOf(bytes: Buffer): unknown[] | undefined {
  try {
    const { manifests, layers, config } = asRecord(parseDocument(bytes, ''), '');
    if (manifests === undefined || layers !== undefined || config !== undefined) return undefined;
    return asArray(manifests ?? [], '');
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

/** Skips entries that are no descriptors: other programs write to the same list. */
function parseReferrers(items: readonly unknown[], where: string): Referrer[] {
  return items.flatMap((item) => {
    try {
      const { artifactType } = asRecord(item, where);
      const descriptor = parseDescriptor(item, `${where} referrers`);
      return [{ ...descriptor, artifactType: typeof artifactType === 'string' ? artifactType : '' }];
    } catch (error) {
      if (error instanceof PanamaxError && error.kind === 'bad-input') return [];
      throw error;
    }
  });
}

const tagOf = (subject: Digest) => `sha256-${hexOf(subject)}`;

type Tagged =
  | { readonly kind: 'index'; readonly items: readonly unknown[] }
  | { readonly kind: 'missing' }
  /** There are registries that refuse to tell whether a tag exists. */
  | { readonly kind: 'refused'; readonly error: PanamaxError }
  /** The registry takes the tag for the digest, as GitLab's does. */
  | { readonly kind: 'subject' }
  /** Something else under the tag, as a user may have put there. */
  | { readonly kind: 'other' };

/** Reads the index of referrers under the tag (distribution-spec, "Referrers Tag Schema"). */
async function readTag(repository: Repository, subject: Digest): Promise<Tagged> {
  let bytes: Buffer;
  try {
    ({ bytes } = await repository.getManifest(tagOf(subject)));
  } catch (error) {
    if (isMissing(error)) return { kind: 'missing' };
    if (isRefusal(error)) return { kind: 'refused', error };
    throw error;
  }
  if (digestOf(bytes) === subject) return { kind: 'subject' };
  const items = itemsOf(bytes);
  return items ? { kind: 'index', items } : { kind: 'other' };
}

/** Whether an error says that a manifest does not exist: by its status, or by the code beside another status. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof PanamaxError)) return false;
  return error.kind === 'not-found' || (isRefusal(error) && /\bMANIFEST_UNKNOWN\b/.test(error.message));
}

/** Whether the registry refuses access to a manifest, as some do for one that does not exist. */
export function isRefusal(error: unknown): error is PanamaxError {
  if (!(error instanceof PanamaxError) || !(error.cause instanceof StatusError)) return false;
  return error.cause.status === 401 || error.cause.status === 403;
}

/**
 * Pushes a manifest with a `subject` and makes sure that `listReferrers` finds it, since the answer to the push does not
 * tell: by the API, else by adding it to the index under the tag.
 *
 * @throws PanamaxError `io` if it is not found after that
 */
export async function pushReferrer(
  repository: Repository,
  subject: Digest,
  referrer: Referrer,
  manifest: Buffer,
): Promise<void> {
  const isPromised = await pushManifest(repository, referrer.digest, referrer.mediaType, manifest);
  const isIn = ({ entries }: Pick<Listing, 'entries'>) =>
    entries.some(({ digest }) => digest === referrer.digest);
  const listing = await listEntries(repository, subject);
  if (isIn(listing)) return;
  // sites read the tag of a registry whose API is down; one that comes back lists the manifest by its subject
  const isListed = async () =>
    isIn(
      listing.isDown
        ? { entries: (await listByTag(repository, subject)) ?? [] }
        : await listEntries(repository, subject),
    );
  if (isPromised && listing.isByApi && (await waitUntil(repository, isListed))) return;
  await addToTag(repository, subject, referrer);
  if ((await isListed()) || (await waitUntil(repository, isListed))) return;
  throw new PanamaxError('io', 'the registry does not list what was pushed', {
    expected: `${referrer.digest} among the referrers`,
    found: 'a list without it',
    where: `${repository.where} ${subject}`,
  });
}

/** Asks several times: a list may lag behind the pushes. */
async function waitUntil({ session }: Repository, isDone: () => Promise<boolean>): Promise<boolean> {
  const later = new StatusError(503, 'not yet');
  try {
    for (const retry = session.attempts(); ;) {
      await retry.after(later);
      if (await isDone()) return true;
    }
  } catch (error) {
    if (error === later) return false;
    throw error;
  }
}

async function addToTag(repository: Repository, subject: Digest, referrer: Referrer): Promise<void> {
  const tag = tagOf(subject);
  const where = `${repository.where} ${subject}`;
  // another writer may replace the index at the same time: repeat until the entry is there
  for (let attempt = 0; attempt <= ATTEMPTS; attempt++) {
    const tagged = await readTag(repository, subject);
    // a list that cannot be read must not be replaced
    if (tagged.kind === 'refused') throw tagged.error;
    if (tagged.kind === 'subject') {
      throw new PanamaxError('io', 'referrers cannot be published in this registry', {
        expected: `a referrers API, or an index under the tag ${tag}`,
        found: 'no API, and the tag stands for the image itself',
        where,
        isFinal: true,
      });
    }
    if (tagged.kind === 'other') {
      throw new PanamaxError('io', 'referrers cannot be published under the tag', {
        expected: `an index under ${tag}`,
        found: 'something else',
        where,
        isFinal: true,
      });
    }
    const items = tagged.kind === 'index' ? tagged.items : [];
    if (items.some((item) => isEntry(item, referrer.digest))) return;
    if (attempt === ATTEMPTS) break;
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [...items, referrer] };
    await pushManifest(repository, tag, MEDIA_TYPES.ociIndex, Buffer.from(JSON.stringify(index)));
  }
  throw new PanamaxError('io', 'others keep changing the referrers', { where });
}

function isEntry(item: unknown, digest: Digest): boolean {
  return (item as { digest?: unknown } | null)?.digest === digest;
}
