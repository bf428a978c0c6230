import { PanamaxError } from '../errors.ts';
import { parseReleaseName } from '../image/oci/releasename.ts';
import type { RegistrySettings } from '../image/registry/settings.ts';

/** A registry that a mirror stands for. */
export interface Upstream {
  /** HOST[:PORT], as in the names of images. */
  readonly host: string;
  /** HOST[:PORT] of the registry that is asked. */
  readonly registry: string;
  /** Whether it is asked by plain HTTP, in addition to the hosts of `--insecure-registry`. */
  readonly isInsecure: boolean;
}

/** A repository of an upstream. */
export interface Place {
  readonly upstream: Upstream;
  /** As the registry names it. */
  readonly path: string;
  /** HOST[:PORT]/PATH, as in the names of images. */
  readonly repository: string;
}

/** Settings with which an upstream is asked. */
export function settingsFor(
  { registry, isInsecure }: Upstream,
  settings: RegistrySettings,
): RegistrySettings {
  return isInsecure ? { ...settings, insecure: new Set([...settings.insecure, registry]) } : settings;
}

/** Parses `HOST[:PORT][=http[s]://HOST[:PORT]]`. @throws PanamaxError `usage` */
export function parseUpstream(text: string): Upstream {
  const [, name = '', location] = /^([^=]*)(?:=(.*))?$/.exec(text) ?? [];
  const host = name.toLowerCase();
  const url = location === undefined ? undefined : URL.parse(location);
  const isBare = url?.pathname === '/' && !url.search && !url.hash && !url.username && !url.password;
  const isSound = location === undefined || (isBare && /^https?:$/.test(url.protocol));
  if (host.includes('/') || repositoryOf(host, 'image') === undefined || !isSound) {
    const expected = 'HOST[:PORT], or HOST[:PORT]=http[s]://HOST[:PORT]';
    throw new PanamaxError('usage', '--upstream', { expected, found: text });
  }
  return { host, registry: url?.host ?? host, isInsecure: url?.protocol === 'http:' };
}

/**
 * Chooses the upstream of a request: the one that the parameter `ns` names (containerd), else the one that the first
 * part of the path names, else the default. A name that is not in the list is never contacted.
 *
 * @param path between `/v2/` and the kind of request
 * @returns undefined for an unknown upstream, and for a path that is not the name of a repository
 */
export function chooseUpstream(
  upstreams: readonly Upstream[],
  preset: Upstream | undefined,
  ns: string | undefined,
  path: string,
): Place | undefined {
  if (ns !== undefined) {
    const named = upstreams.find(({ host }) => host === ns.toLowerCase());
    return named && placeOf(named, path);
  }
  const slash = path.indexOf('/');
  const first = path.slice(0, Math.max(slash, 0));
  const named = upstreams.find(({ host }) => host === first || host.replace(':', '_') === first);
  if (named) return placeOf(named, path.slice(slash + 1));
  return preset && placeOf(preset, path);
}

function placeOf(upstream: Upstream, path: string): Place | undefined {
  const full = upstream.host === 'docker.io' && !path.includes('/') ? `library/${path}` : path;
  const repository = repositoryOf(upstream.host, full);
  return repository === undefined ? undefined : { upstream, path: full, repository };
}

/** Undefined if host or path do not follow the grammar of names. */
function repositoryOf(host: string, path: string): string | undefined {
  const text = `${host}/${path}`;
  try {
    return parseReleaseName(text).repository === text ? text : undefined;
  } catch {
    return undefined;
  }
}
