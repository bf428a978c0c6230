import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { registryError } from '../image/registry/error.ts';
import { openRepository, type FoundManifest, type Repository } from '../image/registry/registry.ts';
import { registrySettings } from '../image/registry/settings.ts';
import type { Limits } from '../limits.ts';
import { discard, limitConnections } from '../runtime/http/client.ts';
import { createSemaphore } from '../runtime/semaphore.ts';
import type { Blob } from './blobcache.ts';
import type { Link } from './link.ts';
import type { Ask } from './patience.ts';
import { settingsFor, type Place } from './upstream.ts';

/** Access to the upstreams of a mirror. Answers are awaited for a short time only. */
export interface Registries {
  /** Sessions are kept, so that a token is asked for once. */
  open(place: Place): Repository;
  /** @throws PanamaxError `not-found`, `io`, `bad-input`, `limit` */
  getManifest(place: Place, reference: string): Promise<FoundManifest>;
  /** Size of a blob in bytes. @throws PanamaxError `not-found`, `io` */
  blobSize(place: Place, digest: Digest): Promise<number>;
  /** Reads a blob from an offset, without verification. Fails with `limit` for more bytes than may come without a patch. */
  openBlob(place: Place, blob: Blob, start?: number): AsyncIterable<Uint8Array>;
  /** Runs an action on a repository for at most some seconds. */
  ask<Result>(place: Place, action: (repository: Repository) => Promise<Result>): Promise<Result>;
}

/** Blobs at a time. */
const MAX_BLOBS = 3;
/** Connections to one host: for blobs, for the patches of two rebuilds, and for documents, which never wait for these. */
const MAX_CONNECTIONS = 8;

export function openRegistries({
  limits,
  maxPass = Infinity,
  signal,
  ask,
  link,
  onBytes,
}: {
  readonly limits: Limits;
  readonly maxPass?: number | undefined;
  readonly signal: AbortSignal;
  readonly ask: Ask;
  readonly link: Link;
  readonly onBytes: (count: number) => void;
}): Registries {
  limitConnections(MAX_CONNECTIONS);
  const settings = registrySettings(process.env);
  const repositories = new Map<string, Repository>();
  const transfers = createSemaphore(MAX_BLOBS);

  function open({ upstream, path, repository: name }: Place): Repository {
    const known = repositories.get(name);
    if (known) return known;
    const options = { limits, signal, onBytes, settings: settingsFor(upstream, settings) };
    const plain = openRepository({ registry: upstream.registry, repository: path }, options);
    const opened: Repository = {
      ...plain,
      openBlob: (digest, start) => link.limit(plain.openBlob(digest, start)),
    };
    repositories.set(name, opened);
    return opened;
  }

  const askAt = <Result>(place: Place, action: (repository: Repository) => Promise<Result>) =>
    ask(place.upstream.host, () => action(open(place)));

  return {
    open,
    ask: askAt,
    getManifest: (place, reference) => askAt(place, (repository) => repository.getManifest(reference)),

    blobSize: (place, digest) =>
      askAt(place, async ({ session, url, scope, where }) => {
        try {
          const request = { method: 'HEAD', url: url(`blobs/${digest}`), headers: {} } as const;
          const response = await session.once(request, [200], scope);
          const length = response.headers['content-length'];
          discard(response);
          if (length !== undefined && /^\d{1,15}$/.test(length)) return Number(length);
          throw new PanamaxError('io', 'the registry does not tell the size of a blob', { isFinal: true });
        } catch (error) {
          throw registryError(error, `${where} ${digest}`);
        }
      }),

    async *openBlob(place, { digest, size }, start = 0) {
      if (size - start > maxPass) {
        const facts = { expected: `at most ${maxPass} bytes`, found: size - start, where: digest };
        throw new PanamaxError('limit', 'the rest of a blob is over --max-pass', facts);
      }
      using _ = await transfers.reserve(1, signal);
      yield* open(place).openBlob(digest, start);
    },
  };
}
