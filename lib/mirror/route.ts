import { isDigest, type Digest } from '../digest.ts';
import { parseReleaseName } from '../image/oci/releasename.ts';
import { Refusal } from './refusal.ts';

/** What a request asks for (distribution-spec, "Endpoints"). */
export type Route =
  | { readonly kind: 'base' }
  | (Named & { readonly kind: 'manifest'; readonly tag: string })
  | (Named & { readonly kind: 'manifest'; readonly digest: Digest })
  | (Named & { readonly kind: 'blob'; readonly digest: Digest })
  | (Named & { readonly kind: 'tags'; readonly last: string; readonly count: number | undefined })
  | (Named & {
      readonly kind: 'referrers';
      readonly digest: Digest;
      readonly artifactType: string | undefined;
    });

interface Named {
  /** Of the repository; not checked yet. */
  readonly path: string;
  /** The registry that containerd asks for. */
  readonly ns: string | undefined;
}

/**
 * Parses the path and the query of a request.
 *
 * @returns undefined for an address that is not of the API
 * @throws Refusal for a malformed digest
 */
export function parseRoute(address: string): Route | undefined {
  const url = URL.parse(address, 'http://mirror');
  const pathname = url && decoded(url.pathname);
  if (!pathname) return undefined;
  if (/^\/v2\/?$/.test(pathname)) return { kind: 'base' };
  const parameter = (name: string) => url.searchParams.get(name) ?? undefined;
  const ns = parameter('ns');

  const [, tagsOf] = /^\/v2\/(.+)\/tags\/list$/.exec(pathname) ?? [];
  if (tagsOf !== undefined) {
    const count = parameter('n');
    return {
      kind: 'tags',
      path: tagsOf,
      ns,
      last: parameter('last') ?? '',
      count: count !== undefined && /^\d{1,9}$/.test(count) ? Number(count) : undefined,
    };
  }

  const [, path, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/.exec(pathname) ?? [];
  if (path === undefined || reference === undefined) return undefined;
  if (kind === 'manifests' && isTag(reference)) return { kind: 'manifest', path, ns, tag: reference };
  if (!isDigest(reference)) {
    throw kind === 'manifests' && !reference.includes(':')
      ? new Refusal(404, 'MANIFEST_UNKNOWN', 'not a tag')
      : new Refusal(400, 'DIGEST_INVALID', 'expected sha256: and 64 hex digits');
  }
  const digest = reference;
  if (kind === 'manifests') return { kind: 'manifest', path, ns, digest };
  if (kind === 'blobs') return { kind: 'blob', path, ns, digest };
  return { kind: 'referrers', path, ns, digest, artifactType: parameter('artifactType') };
}

function decoded(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return undefined;
  }
}

function isTag(text: string): boolean {
  try {
    return parseReleaseName(`localhost/image:${text}`).tag === text;
  } catch {
    return false;
  }
}
