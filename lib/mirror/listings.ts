import type { Digest } from '../digest.ts';
import { MEDIA_TYPES } from '../image/oci/manifest.ts';
import { listReferrers } from '../image/registry/referrers.ts';
import type { Context } from './context.ts';
import { isUnknown } from './refusal.ts';
import type { Route } from './route.ts';
import type { Place } from './upstream.ts';

/** A document that a listing answers with. */
export interface Listing {
  readonly mediaType: string;
  readonly document: object;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Lists the tags of a repository in their alphabetical order. Without the upstream: those that were resolved here.
 *
 * @throws PanamaxError `not-found`; `io` if nothing is known
 */
export async function listTags(
  place: Place,
  { path, ns, last, count }: Extract<Route, { kind: 'tags' }>,
  { registries, records }: Context,
): Promise<Listing> {
  const prefix = `${place.repository}:`;
  const all = await registries
    .ask(place, (repository) => Array.fromAsync(repository.listTags()))
    .catch((error: unknown) => {
      const known = [...records.tags.keys()].filter((name) => name.startsWith(prefix));
      if (isUnknown(error) || known.length === 0) throw error;
      return known.map((name) => name.slice(prefix.length));
    });
  const rest = all.toSorted((a, b) => (a < b ? -1 : 1)).filter((tag) => tag > last);
  const tags = count === undefined ? rest : rest.slice(0, count);
  const headers: Record<string, string> = {};
  if (tags.length > 0 && tags.length < rest.length) {
    const next = new URLSearchParams({ n: String(count), last: tags.at(-1)! });
    if (ns !== undefined) next.set('ns', ns);
    headers['link'] = `</v2/${path}/tags/list?${next.toString()}>; rel="next"`;
  }
  return { mediaType: 'application/json', document: { name: path, tags }, headers };
}

/** Lists the upstream's referrers of a manifest. @throws PanamaxError */
export async function listReferrersOf(
  place: Place,
  digest: Digest,
  artifactType: string | undefined,
  { registries }: Context,
): Promise<Listing> {
  const all = await registries.ask(place, (repository) => listReferrers(repository, digest));
  const manifests =
    artifactType === undefined ? all : all.filter((referrer) => referrer.artifactType === artifactType);
  return {
    mediaType: MEDIA_TYPES.ociIndex,
    document: { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests },
    headers: artifactType === undefined ? {} : { 'OCI-Filters-Applied': 'artifactType' },
  };
}
