import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PanamaxError, toPanamaxError } from '../../errors.ts';
import { openEngine } from '../engine/open.ts';
import { FILE_TRANSPORTS, splitTransport, type FileTransport } from '../oci/reference.ts';
import { parseReleaseName } from '../oci/releasename.ts';
import { ENGINE_TRANSPORTS, isEngineTransport, type EngineTransport } from '../oci/transport.ts';

export const DESTINATIONS = [...FILE_TRANSPORTS, ...ENGINE_TRANSPORTS, 'stream'] as const;

/** Where an image is written: a file, a directory or an engine; `stream` writes its bare layer stream to a file. */
export interface Destination {
  readonly transport: FileTransport | EngineTransport | 'stream';
  /** Of an engine: the image's name. */
  readonly path: string;
  readonly name?: string;
}

/**
 * Parses `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME:TAG]`, an engine's transport with a name,
 * or `stream:FILE`.
 *
 * @throws PanamaxError `usage`
 */
export function parseDestination(text: string): Destination {
  if (text.startsWith('stream:') && text.length > 'stream:'.length) {
    return { transport: 'stream', path: text.slice('stream:'.length) };
  }
  const reference = splitTransport(text);
  if (reference?.transport === 'docker') {
    throw new PanamaxError('usage', 'no image is written to a registry', { found: text });
  }
  if (reference && isEngineTransport(reference.transport)) {
    const { tag, digest } = parseReleaseName(reference.path);
    if (tag === undefined || digest !== undefined) {
      throw new PanamaxError('usage', 'an engine has images under names', {
        expected: 'NAME:TAG',
        found: text,
      });
    }
  }
  if (reference) return { ...reference, transport: reference.transport };
  throw new PanamaxError('usage', 'destination without a transport', {
    expected: `one of ${DESTINATIONS.map((t) => `${t}:`).join(' ')}`,
    found: text,
  });
}

/**
 * Checks that an image can be written to a destination, before an expensive rebuild.
 *
 * @throws PanamaxError `not-found` for a missing directory; `io` for one that is not writable, for a file in place of a
 *   directory or the reverse, and for an engine that does not answer
 */
export async function checkDestination({ transport, path }: Destination, signal: AbortSignal): Promise<void> {
  if (isEngineTransport(transport)) {
    await openEngine(transport, { signal }).list();
    return;
  }
  if (transport === 'oci') {
    const isDirectory = (await stat(path).catch(unlessMissing))?.isDirectory();
    if (isDirectory === false) throw inTheWay('a directory', 'a file', path);
    await checkDirectory(isDirectory ? path : await nearest(dirname(path)));
    return;
  }
  await checkFile(path);
}

/** Checks that a file can be written or replaced. @throws PanamaxError as `checkDestination` */
export async function checkFile(path: string): Promise<void> {
  const isDirectory = (await stat(path).catch(unlessMissing))?.isDirectory();
  if (isDirectory) throw inTheWay('a file', 'a directory', path);
  await checkDirectory(dirname(path));
}

/** The directory, or its nearest parent that exists: missing parents of a layout are made. */
async function nearest(directory: string): Promise<string> {
  const isThere = await stat(directory).catch(unlessMissing);
  return isThere || directory === dirname(directory) ? directory : nearest(dirname(directory));
}

async function checkDirectory(path: string): Promise<void> {
  try {
    if (!(await stat(path)).isDirectory()) throw inTheWay('a directory', 'a file', path);
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw toPanamaxError(error, path);
  }
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw toPanamaxError(error);
}

function inTheWay(expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('io', 'no image can be written there', { expected, found, where });
}
