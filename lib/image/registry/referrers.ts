import { hexOf, type Digest } from '../../digest.ts';
import { asArray, asRecord, checkDocumentSize, parseDocument } from '../../json.ts';
import { buffer } from 'node:stream/consumers';
import { PanamaxError } from '../../errors.ts';
import { parseDescriptor, type Descriptor } from '../oci/descriptor.ts';
import { MEDIA_TYPES } from '../oci/manifest.ts';
import { pushManifest } from './push.ts';
import { nextPage, type Repository } from './registry.ts';

export interface Referrer extends Descriptor {
  readonly artifactType: string;
}

const MAX_REFERRERS = 10_000;
const ATTEMPTS = 5;

/**
 * Lists the referrers of a manifest (distribution-spec, "Listing Referrers"): by the API, or from the index under the
 * tag `sha256-HEX` when the registry lacks the API.
 */
export async function listReferrers(repository: Repository, subject: Digest): Promise<Referrer[]> {
  const referrers: Referrer[] = [];
  for (const referrer of await listedReferrers(repository, subject)) {
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

async function listedReferrers(repository: Repository, subject: Digest): Promise<Referrer[]> {
  const found: Referrer[] = [];
  let next: URL | undefined = repository.url(`referrers/${subject}`);
  while (next) {
    const address: URL = next;
    const response = await repository.named(`referrers of ${subject}`, () =>
      repository.session.fetch(
        { method: 'GET', url: address, headers: { accept: MEDIA_TYPES.ociIndex } },
        [200, 404],
        repository.scope,
      ),
    );
    if (response.statusCode === 404) {
      response.resume();
      return found.length > 0 ? found : parseReferrers(await readTag(repository, subject), repository.where);
    }
    checkDocumentSize(Number(response.headers['content-length'] ?? 0), repository.limits, repository.where);
    const bytes = await repository.named(`referrers of ${subject}`, () => buffer(response));
    repository.onBytes(bytes.length);
    const page = parseReferrers(bytes, repository.where);
    found.push(...page);
    if (found.length > MAX_REFERRERS) {
      throw new PanamaxError('limit', 'too many referrers', {
        expected: `at most ${MAX_REFERRERS}`,
        where: `${repository.where} ${subject}`,
      });
    }
    next = page.length > 0 ? nextPage(response, address) : undefined;
  }
  return found;
}

const tagOf = (subject: Digest) => `sha256-${hexOf(subject)}`;

async function readTag(repository: Repository, subject: Digest): Promise<Buffer | undefined> {
  try {
    return (await repository.getManifest(tagOf(subject))).bytes;
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'not-found') return undefined;
    throw error;
  }
}

function itemsOf(index: Buffer | undefined, where: string): unknown[] {
  if (!index) return [];
  return asArray(asRecord(parseDocument(index, where), where)['manifests'] ?? [], where);
}

function parseReferrers(index: Buffer | undefined, where: string): Referrer[] {
  return itemsOf(index, `${where} referrers`).map((item) => {
    const { artifactType } = asRecord(item, where);
    return {
      ...parseDescriptor(item, `${where} referrers`),
      artifactType: typeof artifactType === 'string' ? artifactType : '',
    };
  });
}

/** Pushes a manifest with a `subject` and, if the registry lacks the API, adds it to the index of referrers. */
export async function pushReferrer(
  repository: Repository,
  subject: Digest,
  referrer: Referrer,
  manifest: Buffer,
): Promise<void> {
  const isListed = await pushManifest(repository, referrer.digest, referrer.mediaType, manifest);
  if (isListed) return;
  // another writer may replace the index at the same time: repeat until the entry is there
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const items = itemsOf(await readTag(repository, subject), repository.where);
    if (items.some((item) => asRecord(item, repository.where)['digest'] === referrer.digest)) return;
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [...items, referrer] };
    const bytes = Buffer.from(JSON.stringify(index));
    await pushManifest(repository, tagOf(subject), MEDIA_TYPES.ociIndex, bytes);
  }
  throw new PanamaxError('io', 'others keep changing the referrers', {
    where: `${repository.where} ${subject}`,
  });
}
