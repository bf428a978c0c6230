import type { Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { parseReleaseName } from './releasename.ts';

/** A repository of a registry, or a manifest in it (OCI distribution-spec). */
export interface RegistryName {
  /** HOST[:PORT] */
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  /** Takes precedence over the tag. */
  readonly digest?: Digest;
}

/** Parses a name as after `docker://`. @throws PanamaxError `usage` */
export function parseRegistryName(text: string): RegistryName {
  if (/[*?[]/.test(text)) {
    throw new PanamaxError('usage', 'a pattern in place of one image', {
      found: `docker://${text}`,
    });
  }
  const { repository: path, ...rest } = parseReleaseName(text);
  const slash = path.indexOf('/');
  return { registry: path.slice(0, slash), repository: path.slice(slash + 1), ...rest };
}

/** The name as after `docker://`. */
export function formatRegistryName({ registry, repository, tag, digest }: RegistryName): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest ? `@${digest}` : ''}`;
}

/** A registry reference with a digest in place of its tag; undefined for other transports. */
export function pinnedReference(reference: string, digest: Digest): string | undefined {
  if (!reference.startsWith(TRANSPORT)) return undefined;
  const { registry, repository } = parseRegistryName(reference.slice(TRANSPORT.length));
  return TRANSPORT + formatRegistryName({ registry, repository, digest });
}

const TRANSPORT = 'docker://';
