import { join } from 'node:path';
import { PanamaxError } from '../../errors.ts';
import { statIfThere } from '../../runtime/file.ts';
import { ENGINE_TRANSPORTS, isEngineTransport } from './transport.ts';

/** The location of an image, in skopeo's terms (containers-transports(5)). */
export interface Reference {
  readonly transport: Transport;
  /** The path of a directory or a file, or the image's name in a registry or an engine. */
  readonly path: string;
  /**
   * The image in a directory or a file: a tag, a `name:tag`, or `@N` for the Nth image of a docker archive. Undefined
   * for the only image.
   */
  readonly name?: string;
}

/** Transports of files and directories. */
export const FILE_TRANSPORTS = ['oci', 'oci-archive', 'docker-archive'] as const;
export type FileTransport = (typeof FILE_TRANSPORTS)[number];

export const TRANSPORTS = [...FILE_TRANSPORTS, 'docker', ...ENGINE_TRANSPORTS] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** A list for messages. */
export const TRANSPORT_NAMES = TRANSPORTS.map((t) => (t === 'docker' ? 'docker://' : `${t}:`)).join(' ');

/**
 * Parses `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `docker://NAME`, an engine's
 * `docker-daemon:NAME`, `containers-storage:NAME` or `containerd:NAME`, or a plain path. A plain path of a directory
 * is an OCI layout, that of a file an archive of either kind. HOST/NAME is docker://HOST/NAME if no file is so named.
 *
 * @throws PanamaxError `usage` for an unknown transport; `not-found` for a plain path that does not exist
 */
export async function parseReference(text: string): Promise<Reference> {
  const explicit = splitTransport(text);
  if (explicit) return explicit;
  const info = await statIfThere(text);
  if (info?.isDirectory()) {
    const layout = await statIfThere(join(text, 'oci-layout'));
    if (layout) return { transport: 'oci', path: text };
    throw new PanamaxError('bad-input', 'not an OCI layout', { expected: 'a file oci-layout', where: text });
  }
  if (info?.isFile()) return { transport: 'docker-archive', path: text };
  if (HOSTED.test(text)) return { transport: 'docker', path: text };
  throw new PanamaxError('not-found', `no such image${hintOf(text)}`, {
    expected: `a path, or one of ${TRANSPORT_NAMES}`,
    found: text,
  });
}

/** HOST/NAME, as docker tells hosts from other names: with a dot or a port, or localhost. Tags may be patterns. */
const HOSTED =
  /^(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9.-]+(?=:\d))(?::\d{1,5})?(?:\/[a-z0-9][a-z0-9._-]*)+(?::[\w.*?-]+)?(?:@sha256:[0-9a-f]{64})?$/;
/** Any name of an image. */
const NAMED = /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$/;

/** Whether a text is a name with a host, which is an image of a registry if no file has this path. */
export function isHosted(text: string): boolean {
  return HOSTED.test(text);
}

/** Suggests a registry for a name that is no path. */
function hintOf(text: string): string {
  return NAMED.test(text) && !/\.(?:tar|tgz|gz)$/.test(text) ? `; did you mean docker://${text}?` : '';
}

export function formatReference({ transport, path, name }: Reference): string {
  if (transport === 'docker') return `docker://${path}`;
  return name === undefined ? `${transport}:${path}` : `${transport}:${path}:${name}`;
}

/** @returns undefined for a text without a transport */
export function splitTransport(text: string): Reference | undefined {
  const colon = text.indexOf(':');
  const transport = TRANSPORTS.find((t) => t === text.slice(0, Math.max(colon, 0)));
  if (!transport) {
    if (/^[a-z][a-z-]+:/.test(text) && !HOSTED.test(text)) {
      throw new PanamaxError('usage', `unknown transport${hintOf(text)}`, {
        expected: TRANSPORT_NAMES,
        found: text,
      });
    }
    return undefined;
  }
  const rest = text.slice(colon + 1);
  if (transport === 'docker') {
    if (/^\/\/[^/]/.test(rest)) return { transport, path: rest.slice(2) };
    throw new PanamaxError('usage', 'not a reference', { expected: 'docker://NAME', found: text });
  }
  const nameAt = isEngineTransport(transport) ? -1 : rest.indexOf(':');
  const path = nameAt < 0 ? rest : rest.slice(0, nameAt);
  if (!path) throw new PanamaxError('usage', 'reference without a path', { found: text });
  return nameAt < 0 ? { transport, path } : { transport, path, name: rest.slice(nameAt + 1) };
}
