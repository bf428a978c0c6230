import { digestOf, type Digest } from '../../digest.ts';
import { asArray, asRecord, asString, checkDocumentSize, describe, parseDocument } from '../../json.ts';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { PanamaxError } from '../../errors.ts';
import type { Limits } from '../../limits.ts';
import { readBody, requestContent, type Content } from '../../runtime/http/content.ts';
import { MEDIA_TYPES } from '../oci/manifest.ts';
import { StatusError } from '../../runtime/http/retry.ts';
import { registryError } from './error.ts';
import { readPages } from './pages.ts';
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
  /** Reads a small document of the registry's API. @throws StatusError, PanamaxError, or a network error */
  getDocument(address: URL, accept: string): Promise<Document>;
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

export interface Document {
  readonly bytes: Buffer;
  readonly headers: IncomingHttpHeaders;
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

/** For the Accept header. */
export const MANIFEST_TYPES = [
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.dockerManifest,
  MEDIA_TYPES.dockerIndex,
].join(', ');
const MAX_TAGS = 100_000;

/** @param access the scope that tokens must grant if it is not that of the repository */
export function openRepository(
  name: Pick<RegistryName, 'registry' | 'repository'>,
  {
    limits,
    signal,
    settings = registrySettings(process.env),
    push = false,
    onBytes = () => {},
  }: RepositoryOptions,
  access?: string,
): Repository {
  const { registry, repository } = name;
  const session = openSession(registry, settings, signal);
  const where = formatRegistryName({ registry, repository });
  const scope = access ?? `repository:${repository}:pull${push ? ',push' : ''}`;
  const url = (path: string) => new URL(`/v2/${repository}/${path}`, session.origin);

  async function named<Result>(what: string, action: () => Promise<Result>): Promise<Result> {
    try {
      return await action();
    } catch (error) {
      throw registryError(error, `${where} ${what}`.trim());
    }
  }

  const get = (address: URL, headers: Record<string, string>, expected = [200]) =>
    session.once({ method: 'GET', url: address, headers }, expected, scope);

  /** Starts again after a broken transfer. */
  async function getDocument(address: URL, accept: string): Promise<Document> {
    for (const retry = session.attempts(); ;) {
      let response: IncomingMessage | undefined;
      try {
        response = await get(address, { accept });
        const { headers } = response;
        const bytes = await readAll(readBody(response, where), limits, where);
        onBytes(bytes.length);
        return { bytes, headers };
      } catch (error) {
        response?.destroy();
        await retry.after(error);
      }
    }
  }

  const readTags = (address: URL) => named('tags', () => getDocument(address, 'application/json'));

  return {
    where,
    session,
    limits,
    named,
    getDocument,
    url,
    scope,
    onBytes,
    getManifest: (reference) =>
      named(reference, async () => {
        const { bytes, headers } = await getDocument(url(`manifests/${reference}`), MANIFEST_TYPES);
        const digest = digestOf(bytes);
        if (reference.includes(':') && reference !== digest) {
          throw new PanamaxError('bad-input', 'digest mismatch', {
            expected: reference,
            found: digest,
            where,
          });
        }
        const declared = asRecord(parseDocument(bytes, `${where} ${digest}`), where)['mediaType'];
        const [header = ''] = (headers['content-type'] ?? '').split(';');
        return { mediaType: typeof declared === 'string' ? declared : header.trim(), digest, bytes };
      }),

    async *openBlob(digest, start = 0) {
      const retry = session.attempts();
      let offset = start;
      let content: Content | undefined;
      const request = (from: number) => {
        const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
        return get(url(`blobs/${digest}`), range, [200, 206]);
      };
      try {
        for (;;) {
          try {
            content = await requestContent(request, offset, where);
            for await (const piece of content.bytes) {
              onBytes(piece.length);
              offset += piece.length;
              retry.progress();
              yield piece;
            }
            return;
          } catch (error) {
            content?.close();
            content = undefined;
            // the transfer broke behind the last byte
            if (error instanceof StatusError && error.status === 416 && offset > 0) return;
            await retry.after(error);
          }
        }
      } catch (error) {
        throw registryError(error, `${where} ${digest}`);
      } finally {
        content?.close();
      }
    },

    async *listTags() {
      const first = url('tags/list');
      first.searchParams.set('n', '1000');
      let count = 0;
      for await (const tags of readPages(first, readTags, parseTags, `${where} tags`)) {
        count += tags.length;
        if (count > MAX_TAGS) {
          throw new PanamaxError('limit', 'too many tags', { expected: `at most ${MAX_TAGS}`, where });
        }
        yield* tags;
      }
    },
  };
}

/** A repository without tags may have null in place of the list. */
function parseTags(bytes: Buffer, where: string): string[] {
  const { tags, errors } = asRecord(parseDocument(bytes, where), where);
  if (tags === undefined && errors !== undefined) {
    throw new PanamaxError('io', 'the registry answers with an error document', {
      found: describe(errors),
      where,
    });
  }
  return asArray(tags ?? [], where).map((tag) => asString(tag, where));
}

async function readAll(body: AsyncIterable<Uint8Array>, limits: Limits, where: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    checkDocumentSize(size, limits, where);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
