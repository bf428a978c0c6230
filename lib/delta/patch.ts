import { open } from 'node:fs/promises';
import { PanamaxError, withPlace } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { statIfThere } from '../runtime/file.ts';
import type { Patch, PatchFormat } from './format.ts';
import { formatNames, recognizeFormat } from './formats.ts';

/** Length of the head that formats are recognized by, in bytes. */
const HEAD = 512;

/** @throws PanamaxError `bad-patch` for a damaged patch or a file of another kind; `not-found` */
export async function openPatch(path: string, limits: Limits): Promise<Patch> {
  const format = await formatOfFile(path);
  if (format) {
    return format.read(path, limits).catch((error: unknown) => {
      throw withPlace(error, path);
    });
  }
  throw new PanamaxError('bad-patch', 'not a patch', {
    expected: `a patch of format ${formatNames().join(' or ')}`,
    where: path,
  });
}

/** The format that a file's first bytes fit; undefined where they fit none. @throws PanamaxError `not-found` */
export async function formatOfFile(path: string): Promise<PatchFormat | undefined> {
  const info = await statIfThere(path);
  if (!info?.isFile()) throw new PanamaxError('not-found', 'no such patch', { found: path });
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD), 0, HEAD, 0);
  return recognizeFormat(buffer.subarray(0, bytesRead));
}
