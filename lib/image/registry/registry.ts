import { digestOf, type Digest } from '../../digest.ts';
import { asArray, asRecord, asString, checkDocumentSize, parseDocument } from '../../json.ts';
import type { IncomingMessage } from 'node:http';
import { PanamaxError } from '../../errors.ts';
import type { Limits } from '../../limits.ts';
import { MEDIA_TYPES } from '../oci/manifest.ts';
import { registryError } from './error.ts';
import { openSession, type Session } from './fetch.ts';
import { formatRegistryName, type RegistryName } from '../oci/registryname.ts';
import { registrySettings, type RegistrySettings } from './settings.ts';

/** Reads a repository (distribution-spec, "Pull" and "Content Discovery"). */
export interface Repository {
  /** HOST/REPOSITORY, for messages. */
  readonly where: string;
  readonly session: Session;
  readonly limits: Limits;
  /** Reads a manifest or an index. @throws PanamaxError `not-found`, `bad-input`, `limit`, `io` */
  getManifest(reference: string): Promise<FoundManifest>;
  /** Reads a blob from an offset within it, without verification. A broken transfer is resumed. */
  openBlob(digest: Digest, offset?: number): AsyncIterable<Uint8Array>;
  /** In the registry's order, usually alphabetical. */
  listTags(): AsyncIterable<string>;
  /** Converts the errors of an action to PanamaxErrors that name the repository and `what`. */
  named<Result>(what: string, action: () => Promise<Result>): Promise<Result>;
  readonly url: (path: string) => URL;
  readonly scope: string;
  /** Called with the size of each received piece. */
  onBytes(count: number): void;
}

export interface FoundManifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export interface RepositoryOptions {
  readonly limits: Limits;
  readonly signal?: AbortSignal;
  /** By default from the environment. */
  readonly settings?: RegistrySettings;
  /** Whether tokens must allow pushing. */
  readonly push?: boolean;
  readonly onBytes?: (count: number) => void;
}

const ACCEPT = [
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.dockerManifest,
  MEDIA_TYPES.dockerIndex,
].join(', ');
const MAX_TAGS = 100_000;

export function openRepository(
  name: Pick<RegistryName, 'registry' | 'repository'>,
  {
    limits,
    signal,
    settings = registrySettings(process.env),
    push = false,
    onBytes = () => {},
  }: RepositoryOptions,
): Repository {
  const { registry, repository } = name;
  const session = openSession(registry, settings, signal);
  const where = formatRegistryName({ registry, repository });
  const scope = `repository:${repository}:pull${push ? ',push' : ''}`;
  const url = (path: string) => new URL(`/v2/${repository}/${path}`, session.origin);

  async function named<Result>(what: string, action: () => Promise<Result>): Promise<Result> {
    try {
      return await action();
    } catch (error) {
      throw registryError(error, `${where} ${what}`.trim());
    }
  }

  const get = (address: URL, headers: Record<string, string> = {}, expected = [200]) =>
    session.fetch({ method: 'GET', url: address, headers }, expected, scope);

  /** Reads a small document, from its start again after a broken transfer. */
  async function getDocument(
    address: URL,
    accept: string,
  ): Promise<{ bytes: Buffer; response: IncomingMessage }> {
    for (const retry = session.attempts(); ;) {
      const response = await get(address, { accept });
      try {
        const bytes = await readAll(response, limits, where);
        onBytes(bytes.length);
        return { bytes, response };
      } catch (error) {
        response.destroy();
        await retry.after(error);
      }
    }
  }

  return {
    where,
    session,
    limits,
    named,
    url,
    scope,
    onBytes,
    getManifest: (reference) =>
      named(reference, async () => {
        const { bytes, response } = await getDocument(url(`manifests/${reference}`), ACCEPT);
        const digest = digestOf(bytes);
        if (reference.includes(':') && reference !== digest) {
          throw new PanamaxError('bad-input', 'digest mismatch', {
            expected: reference,
            found: digest,
            where,
          });
        }
        const declared = asRecord(parseDocument(bytes, `${where} ${digest}`), where)['mediaType'];
        const [header = ''] = (response.headers['content-type'] ?? '').split(';');
        return { mediaType: typeof declared === 'string' ? declared : header.trim(), digest, bytes };
      }),

    async *openBlob(digest, start = 0) {
      const retry = session.attempts();
      let offset = start;
      let response: IncomingMessage | undefined;
      try {
        for (;;) {
          try {
            const range: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
            response = await get(url(`blobs/${digest}`), range, offset > 0 ? [200, 206, 416] : [200, 206]);
            // 416: the transfer broke behind the last byte
            if (response.statusCode === 416) return;
            let skip = offset - startOf(response);
            if (skip < 0) throw new PanamaxError('io', 'the registry leaves a gap', { where });
            for await (const piece of response as AsyncIterable<Buffer>) {
              onBytes(piece.length);
              const fresh = piece.subarray(Math.min(skip, piece.length));
              skip -= piece.length - fresh.length;
              if (fresh.length === 0) continue;
              offset += fresh.length;
              retry.progress();
              yield fresh;
            }
            return;
          } catch (error) {
            response?.destroy();
            response = undefined;
            await retry.after(error);
          }
        }
      } catch (error) {
        throw registryError(error, `${where} ${digest}`);
      } finally {
        response?.destroy();
      }
    },

    async *listTags() {
      let next: URL | undefined = url('tags/list');
      next.searchParams.set('n', '1000');
      for (let count = 0; next;) {
        const address: URL = next;
        const { bytes, response } = await named('tags', () => getDocument(address, 'application/json'));
        const document = asRecord(parseDocument(bytes, `${where} tags`), `${where} tags`);
        const tags = asArray(document['tags'] ?? [], `${where} tags`).map((tag) =>
          asString(tag, `${where} tags`),
        );
        count += tags.length;
        if (count > MAX_TAGS) {
          throw new PanamaxError('limit', 'too many tags', { expected: `at most ${MAX_TAGS}`, where });
        }
        yield* tags;
        next = nextPage(response, address);
        // an empty page with a next one would go on for ever
        if (next && tags.length === 0) return;
      }
    },
  };
}

/** URL of the next page (RFC 8288); undefined for one on another host. */
export function nextPage({ headers }: Pick<IncomingMessage, 'headers'>, base: URL): URL | undefined {
  const link = headers['link'];
  const text = /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(
    Array.isArray(link) ? link.join(', ') : (link ?? ''),
  )?.[1];
  const url = text === undefined ? null : URL.parse(text, base.href);
  return url && url.origin === base.origin && url.href !== base.href ? url : undefined;
}

/** Offset in the blob of a response's first byte. */
function startOf({ statusCode, headers }: IncomingMessage): number {
  if (statusCode !== 206) return 0;
  const start = /^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1];
  return start === undefined ? Infinity : Number(start);
}

async function readAll(response: IncomingMessage, limits: Limits, where: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    checkDocumentSize(size, limits, where);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
