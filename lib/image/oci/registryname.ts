import type { Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { parseReleaseName } from './releasename.ts';

/** A repository of a registry, or one thing in it (distribution-spec). */
export interface RegistryName {
  /** HOST[:PORT], as names have it. */
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  /** Decides where there is a tag, too. */
  readonly digest?: Digest;
}

/** Reads what follows `docker://`. @throws PanamaxError `usage` */
export function parseRegistryName(text: string): RegistryName {
  if (/[*?[]/.test(text)) {
    throw new PanamaxError('usage', 'a pattern names many images; one is asked for', {
      found: `docker://${text}`,
    });
  }
  const { repository: path, ...rest } = parseReleaseName(text);
  const slash = path.indexOf('/');
  return { registry: path.slice(0, slash), repository: path.slice(slash + 1), ...rest };
}

/** For messages and as `docker://` references have it. */
export function formatRegistryName({ registry, repository, tag, digest }: RegistryName): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest ? `@${digest}` : ''}`;
}

/** The reference of an image in a registry by its digest; undefined for images elsewhere. */
export function pinnedReference(reference: string, digest: Digest): string | undefined {
  if (!reference.startsWith(TRANSPORT)) return undefined;
  const { registry, repository } = parseRegistryName(reference.slice(TRANSPORT.length));
  return TRANSPORT + formatRegistryName({ registry, repository, digest });
}

const TRANSPORT = 'docker://';
