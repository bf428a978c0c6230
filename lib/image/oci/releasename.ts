import { isDigest, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { splitTransport } from './reference.ts';

/** The full name of an image: `nginx` is docker.io/library/nginx:latest. */
export interface ReleaseName {
  /** HOST[:PORT]/PATH */
  readonly repository: string;
  /** Undefined for a name with only a digest. */
  readonly tag?: string;
  readonly digest?: Digest;
}

const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?$/;
const PART = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const MAX_LENGTH = 255;

/**
 * Parses `[HOST[:PORT]/]PATH[:TAG][@DIGEST]` like docker (reference grammar of distribution), also after `docker://`.
 *
 * @throws PanamaxError `usage`
 */
export function parseReleaseName(given: string): ReleaseName {
  const text = given.replace(/^docker:\/\//, '');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const [, path, tag] = /^(.*?)(?::([^/:]*))?$/s.exec(named)!;
  const repository = fullRepository(path!);
  const [host, ...parts] = repository.split('/');
  const isName =
    HOST.test(host!) &&
    parts.every((part) => PART.test(part)) &&
    repository.length <= MAX_LENGTH &&
    (tag === undefined || TAG.test(tag)) &&
    (digest === undefined || isDigest(digest));
  if (!isName) {
    const expected = '[HOST[:PORT]/]PATH[:TAG][@sha256:HEX]';
    throw new PanamaxError('usage', 'not the name of an image', { expected, found: given });
  }
  if (digest === undefined) return { repository, tag: tag ?? 'latest' };
  return { repository, ...(tag !== undefined && { tag }), digest };
}

/** The first component is a host if it has a dot or a port, or is `localhost`. */
function fullRepository(path: string): string {
  const slash = path.indexOf('/');
  const first = path.slice(0, Math.max(slash, 0));
  if (/[.:]/.test(first) || first === 'localhost') return `${first.toLowerCase()}${path.slice(slash)}`;
  return `docker.io/${slash < 0 ? 'library/' : ''}${path}`;
}

export function formatReleaseName({ repository, tag, digest }: ReleaseName): string {
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** Transports whose references contain the image's name at sites. */
const NAMING = /^(?:docker:\/\/|docker-daemon:|containers-storage:|containerd:)(.+)$/;

/** The image name in a reference; undefined if it has no tag. */
export function releaseNameOf(reference: string): ReleaseName | undefined {
  const text = NAMING.exec(reference)?.[1] ?? archiveName(reference);
  if (text === undefined) return undefined;
  try {
    const name = parseReleaseName(text);
    return name.tag === undefined ? undefined : name;
  } catch {
    return undefined;
  }
}

/** Only docker archives hold full names; OCI layouts have tags. */
function archiveName(reference: string): string | undefined {
  if (!reference.startsWith('docker-archive:')) return undefined;
  return splitTransport(reference)?.name;
}
