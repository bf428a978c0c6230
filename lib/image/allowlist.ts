import { realpath } from 'node:fs/promises';
import { isAbsolute, resolve, sep } from 'node:path';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { isMissingFile } from '../runtime/file.ts';
import {
  FILE_TRANSPORTS,
  parseReference,
  splitTransport,
  TRANSPORTS,
  type Transport,
} from './oci/reference.ts';
import { parseRegistryName } from './oci/registryname.ts';
import { isEngineTransport } from './oci/transport.ts';

/** The images that a process may read: transports, and a prefix of the path or name in each. */
export interface Allowed {
  /** Undefined for all transports of files. */
  readonly transport?: Transport;
  /** A directory, `HOST[:PORT][/PATH]`, or a name in an engine; empty for all. */
  readonly root: string;
}

/**
 * Parses `docker://[HOST[:PORT][/PATH]]`, `TRANSPORT:[DIRECTORY]`, `TRANSPORT:[NAME]` of an engine, or the absolute path
 * of a directory for all transports of files.
 *
 * @throws PanamaxError `usage`
 */
export function parseAllowed(text: string): Allowed {
  if (isAbsolute(text)) return { root: resolve(text) };
  const colon = text.indexOf(':');
  const transport = TRANSPORTS.find((known) => known === text.slice(0, Math.max(colon, 0)));
  const rest = text.slice(colon + 1);
  if (transport === 'docker' && rest.startsWith('//'))
    return { transport, root: rest.slice(2).replace(/\/$/, '') };
  if (transport && isEngineTransport(transport)) return { transport, root: rest };
  if (transport && transport !== 'docker' && (rest === '' || isAbsolute(rest))) {
    return { transport, root: rest && resolve(rest) };
  }
  throw new PanamaxError('usage', '--allow', {
    expected: 'docker://[HOST[/PATH]], an absolute path, or TRANSPORT:[ABSOLUTE PATH]',
    found: text,
  });
}

/** Throws `usage` for a reference that may not be read. */
export type CheckReference = (reference: string) => Promise<void>;

/** @throws PanamaxError `usage` for an entry that cannot be parsed */
export function createAllowlist(texts: readonly string[]): CheckReference {
  const entries = texts.map(parseAllowed);
  return async (reference) => {
    if (await isAllowed(reference, entries)) return;
    throw new PanamaxError('usage', 'this worker may not read the image', {
      expected: `--allow ${texts.join(', ')}`,
      found: reference,
    });
  };
}

async function isAllowed(text: string, entries: readonly Allowed[]): Promise<boolean> {
  const split = splitTransport(text);
  // a plain path is looked at only if it is below a root
  const path = split?.path ?? text;
  if (split?.transport === 'docker') {
    const { registry, repository } = parseRegistryName(path);
    return entries.some(
      ({ transport, root }) => transport === 'docker' && startsWith(`${registry}/${repository}`, root, '/'),
    );
  }
  if (split && isEngineTransport(split.transport)) {
    return entries.some(({ transport, root }) => transport === split.transport && path.startsWith(root));
  }
  const near = entries.filter(
    ({ transport, root }) => isFile(transport) && startsWith(resolve(path), root, sep),
  );
  if (near.length === 0) return false;
  const transport = split?.transport ?? (await parseReference(text)).transport;
  // a symlink does not lead out of the root; a missing file is reported by its reader
  const real = (await realPathIfThere(path)) ?? resolve(path);
  for (const entry of near) {
    if (entry.transport !== undefined && entry.transport !== transport) continue;
    const root = entry.root && ((await realPathIfThere(entry.root)) ?? entry.root);
    if (startsWith(real, root, sep)) return true;
  }
  return false;
}

async function realPathIfThere(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (isMissingFile(error)) return undefined;
    throw toPanamaxError(error, path);
  }
}

function isFile(transport: Transport | undefined): boolean {
  return transport === undefined || FILE_TRANSPORTS.some((known) => known === transport);
}

/** Whether a text is the prefix or continues it after a separator. Everything starts with an empty prefix. */
function startsWith(text: string, prefix: string, separator: string): boolean {
  if (prefix === '' || text === prefix) return true;
  return text.startsWith(prefix.endsWith(separator) ? prefix : `${prefix}${separator}`);
}
