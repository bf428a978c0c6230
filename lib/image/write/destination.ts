import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openEngine } from '../engine/engine.ts';
import { isEngineTransport } from '../oci/transport.ts';
import { PanamaxError, toPanamaxError } from '../../errors.ts';
import type { Destination } from './writer.ts';

/**
 * Whether an image could be written there, asked before much is done for it.
 *
 * @throws PanamaxError `not-found` for a directory that is missing, `io` for one that cannot be written to, for
 *   something else in its place, and for an engine that does not answer
 */
export async function checkDestination({ transport, path }: Destination, signal: AbortSignal): Promise<void> {
  if (isEngineTransport(transport)) {
    await openEngine(transport, { signal }).list();
    return;
  }
  const isDirectory = (await stat(path).catch(unlessMissing))?.isDirectory();
  if (transport === 'oci') {
    if (isDirectory === false) throw inTheWay('a directory', 'a file', path);
    await checkDirectory(isDirectory ? path : await nearest(dirname(path)));
    return;
  }
  if (isDirectory) throw inTheWay('a file', 'a directory', path);
  await checkDirectory(dirname(path));
}

/** Missing parents of a layout are made. */
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
