/** Images and patches that seeds are made of. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FormatName } from '../../lib/delta/format.ts';
import { digestOf } from '../../lib/digest.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { makePatch } from '../support/patch.ts';
import { createRandom } from '../support/random.ts';
import type { Scope } from '../support/scope.ts';
import { writeTar } from '../support/tar.ts';

const digest = (text: string) => digestOf(text);

export const SAMPLE_IMAGE = {
  manifest: digest('manifest'),
  config: digest('config'),
  layers: digest(digest('layer')),
  size: 4096,
};
export const SAMPLE_SOURCE = { ...SAMPLE_IMAGE, diffIDs: [digest('layer')] };

/** Layers of a release of a few kilobytes: small inputs make fast executions. */
export function smallLayers(release: number): Buffer[] {
  const text = createRandom(5).text(3000);
  const base = [{ path: 'etc/' }, { path: 'etc/a', content: text, mtime: release }];
  const changed = Buffer.from(text.replaceAll('b', `${release}`));
  return [
    writeTar(base),
    writeTar([
      { path: 'srv/b', content: changed, mtime: release },
      { path: 'srv/new', content: createRandom(release).text(400) },
    ]),
  ];
}

/** Two small releases as layouts, and the directory that they are in. */
export async function smallImages(scope: Scope) {
  const directory = await temporaryDirectory(scope);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  const images = [
    await writeLayout(source, smallLayers(1)),
    await writeLayout(target, smallLayers(2)),
  ] as const;
  return { directory, source, target, images };
}

export async function smallPatch(scope: Scope, format: FormatName) {
  const { directory, source, target } = await smallImages(scope);
  const path = join(directory, 'sound-patch');
  await makePatch(source, target, path, format);
  return { directory, source, patch: await readFile(path), expected: Buffer.concat(smallLayers(2)) };
}
