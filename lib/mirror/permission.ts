import { createHash } from 'node:crypto';
import { MANIFEST_TYPES, openRepository, type Repository } from '../image/registry/registry.ts';
import { registrySettings, type Credentials } from '../image/registry/settings.ts';
import { discard } from '../runtime/http/client.ts';
import type { Context } from './context.ts';
import { Refusal, refusalFor } from './refusal.ts';
import { settingsFor, type Place } from './upstream.ts';

/**
 * Asks an upstream, with the credentials that a client has sent, whether it shows something. A manifest does not vouch for
 * the blobs that it names: registries accept foreign layers that they do not have.
 *
 * @param path below the repository, such as `manifests/TAG`
 * @throws Refusal as `credentialsOf`; PanamaxError of the upstream's refusal; `io` if the upstream is away and has not
 *   shown this to the client before
 */
export type CheckPermission = (
  authorization: string | undefined,
  place: Place,
  path: string,
) => Promise<void>;

/** Checks the paths of one client in one repository. */
type Check = (path: string) => Promise<void>;

/** Time in which the upstream is not asked again, in milliseconds. Tokens of registries mostly last as long. */
const VALID = 5 * 60_000;
/** Clients and repositories that are remembered. */
const MAX_CLIENTS = 1000;
/** Manifests and blobs that are remembered of one client in one repository. */
const MAX_PATHS = 10_000;

/** Permissions are kept in memory, so that clients pull held images while the upstream is away. */
export function createPermissionCheck(context: Context): CheckPermission {
  const known = new Map<string, Check>();
  return async (authorization, place, path) => {
    const credentials = credentialsOf(authorization);
    const user = createHash('sha256').update(JSON.stringify(credentials)).digest('hex');
    const key = `${user} ${place.repository}`;
    const check = known.get(key) ?? createCheck(place, credentials, context);
    known.delete(key);
    remember(known, key, check, MAX_CLIENTS);
    return check(path);
  };
}

function createCheck(place: Place, credentials: Credentials, { limits, signal, ask }: Context): Check {
  const settings = { ...settingsFor(place.upstream, registrySettings(process.env)), credentials };
  const name = { registry: place.upstream.registry, repository: place.path };
  const repository = openRepository(name, { limits, signal, settings });
  /** Until when each path is allowed without asking, in milliseconds since 1970. */
  const allowed = new Map<string, number>();

  return async (path) => {
    if ((allowed.get(path) ?? 0) > Date.now()) return;
    try {
      await ask(place.upstream.host, () => askFor(repository, path));
    } catch (error) {
      signal.throwIfAborted();
      const isAway = refusalFor(error, '').status >= 429;
      if (isAway && allowed.has(path)) return;
      if (!isAway) allowed.delete(path);
      throw error;
    }
    remember(allowed, path, Date.now() + VALID, MAX_PATHS);
  };
}

/** @throws PanamaxError unless the registry shows the path */
async function askFor(repository: Repository, path: string): Promise<void> {
  const { session, url, scope } = repository;
  await repository.named(path, async () => {
    // lists have no HEAD
    const method = path.startsWith('tags/') ? 'GET' : 'HEAD';
    const request = { method, url: url(path), headers: { accept: MANIFEST_TYPES } } as const;
    discard(await session.once(request, [200], scope));
  });
}

/**
 * Parses basic credentials (RFC 7617). Some clients send an empty user if they have no credentials.
 *
 * @throws Refusal 401 without a user and a password
 */
export function credentialsOf(authorization = ''): Credentials {
  const [, encoded = ''] = /^basic +([\w+/=-]+)$/i.exec(authorization) ?? [];
  const [, username, password] = /^([^:]+):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
  if (username !== undefined && password !== undefined) return { kind: 'password', username, password };
  throw new Refusal(401, 'UNAUTHORIZED', 'this mirror wants the user and the password of its upstream');
}

/** Adds an entry; the oldest one goes if there are too many. */
function remember<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, most: number): void {
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}
