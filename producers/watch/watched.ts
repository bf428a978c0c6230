import { PanamaxError } from '../../lib/errors.ts';
import {
  formatRegistryName,
  parseRegistryName,
  type RegistryName,
} from '../../lib/image/oci/registryname.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import type { Notice } from './notification.ts';

/** A repository of a registry. */
export type Repository = Pick<RegistryName, 'registry' | 'repository'>;

/** A repository that is watched, or all of a registry. */
export interface Watched {
  readonly registry: string;
  /** Undefined for all that the registry's catalog lists. */
  readonly repository?: string;
}

/** Parses `docker://HOST/REPO` or `docker://HOST`. @throws PanamaxError `usage` */
export function parseWatched(reference: string): Watched {
  const split = splitTransport(reference);
  if (split?.transport === 'docker') {
    const { path } = split;
    // a host alone may end with a port, a repository may not end with a tag
    if (!path.includes('/')) return { registry: parseRegistryName(`${path}/any`).registry };
    if (!/:[^/]*$|@/.test(path)) {
      const { registry, repository } = parseRegistryName(path);
      return { registry, repository };
    }
  }
  throw new PanamaxError('usage', 'not a repository', {
    expected: 'docker://HOST/REPO, or docker://HOST for all of a registry',
    found: reference,
  });
}

/** The text that `parseWatched` takes. */
export function formatWatched({ registry, repository }: Watched): string {
  return repository === undefined
    ? `docker://${registry}`
    : `docker://${formatRegistryName({ registry, repository })}`;
}

/**
 * The watched repositories that a notification can be about. Their hosts are those of the watched list: a registry may
 * know itself by another name, and the name in a notification is not to be trusted. It only chooses between watched
 * registries.
 *
 * @throws PanamaxError `usage` if the repository's name is invalid
 */
export function repositoriesOf(notice: Notice, watched: readonly Watched[]): Repository[] {
  const { host, repository } = notice;
  const able = watched.filter((one) => one.repository === undefined || one.repository === repository);
  const named = able.filter(({ registry }) => registry === host?.toLowerCase());
  const registries = new Set((named.length > 0 ? named : able).map(({ registry }) => registry));
  return [...registries].map((registry) => {
    const name = parseRegistryName(`${registry}/${repository}`);
    if (name.repository === repository && !name.digest) return { registry, repository };
    throw new PanamaxError('usage', 'not the name of a repository', { found: repository });
  });
}
