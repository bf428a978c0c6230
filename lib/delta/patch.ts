import type { PatchFormat, PatchSides } from './format.ts';
import { open, stat } from 'node:fs/promises';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { readOciDelta, type OciDelta } from './formats/ocidelta/read.ts';
import type { Recipe } from './recipe.ts';
import { readXdelta } from './formats/xdelta/read.ts';

/** What a patch says of itself. */
export type Patch = PatchSides & { readonly path: string } & (
    | { readonly format: 'xdelta'; readonly recipe: Recipe }
    | { readonly format: 'oci-delta'; readonly delta: OciDelta }
  );

/** @throws PanamaxError `bad-patch` for a damaged patch, or a file that is none; `not-found` */
export async function openPatch(path: string, limits: Limits): Promise<Patch> {
  const format = await formatOf(path);
  if (format === 'xdelta') {
    const recipe = await readXdelta(path);
    const { source, target } = recipe;
    return { format, path, recipe, source, target, layers: target.layers };
  }
  if (format === 'oci-delta') {
    const delta = await readOciDelta(path, limits);
    const { source, target, layers } = delta;
    return { format, path, delta, source, target, layers };
  }
  throw new PanamaxError('bad-patch', 'not a patch', { expected: 'VCDIFF or an OCI archive', where: path });
}

/** Told by the first bytes; undefined for what is neither VCDIFF nor a tar. @throws PanamaxError `not-found` */
export async function formatOf(path: string): Promise<PatchFormat | undefined> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) throw new PanamaxError('not-found', 'no such patch', { found: path });
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(512), 0, 512, 0);
  if (buffer.toString('hex', 0, 3) === 'd6c3c4') return 'xdelta';
  return buffer.toString('latin1', 257, 262) === 'ustar' ? 'oci-delta' : undefined;
}
