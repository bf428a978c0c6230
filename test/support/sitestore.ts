/** A store with patches between releases. The images are so large that a patch is smaller than a pull. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileScope, type Scope } from './scope.ts';
import { temporaryDirectory } from './directory.ts';
import { writeLayout, type Layout } from './layout.ts';
import { panamax, panamaxJson } from './commands.ts';
import { largeLayers } from './releases.ts';

export const NAME = 'registry.example:5000/team/app';

export interface SiteStore {
  readonly directory: string;
  readonly store: string;
  /** By release, from 1. */
  readonly images: readonly Layout[];
  /** Options that keep a site's files below the directory. */
  readonly site: readonly string[];
}

/** Writes the layout of a release. */
export type WriteImage = (layout: string, release: number) => Promise<Layout>;

export const writeLarge: WriteImage = (layout, release) => writeLayout(layout, largeLayers(release));

const templates = new Map<string, Promise<{ directory: string; images: readonly Layout[] }>>();
const scope = fileScope();

/** Releases 1 to `count`, named `NAME:RELEASE` from the second on, with patches between all of them. */
export async function makeSiteStore(
  t: Scope,
  { count = 2, sign = false, format = 'xdelta', writeImage = writeLarge } = {},
): Promise<SiteStore> {
  const key = `${count} ${sign} ${format} ${writeImage.name}`;
  const template = templates.get(key) ?? makeTemplate(count, sign, format, writeImage);
  templates.set(key, template);
  const directory = await temporaryDirectory(t);
  await cp((await template).directory, directory, { recursive: true });
  const path = (name: string) => join(directory, name);
  return {
    directory,
    store: path('store'),
    images: (await template).images,
    site: ['--state', path('state'), '--scratch', path('scratch')],
  };
}

/** Made once per test file. */
async function makeTemplate(count: number, sign: boolean, format: string, writeImage: WriteImage) {
  const directory = await temporaryDirectory(scope);
  const path = (name: string | number) => join(directory, String(name));
  const images: Layout[] = [];
  for (let release = 1; release <= count; release++) {
    images.push(await writeImage(path(release), release));
  }
  if (sign) await panamax('keygen', path('owner'));
  const options = ['--store', path('store'), '--scratch', path('scratch')];
  if (sign) options.push('--sign', path('owner.key'));
  const releases = images.map((_, i) => path(i + 1));
  const settings = ['--format', format, '--top', String(count), '--effort', 'fast'];
  await panamaxJson('backfill', ...releases, ...settings, ...options);
  for (let release = 2; release <= count; release++) {
    await panamaxJson('tag', `${NAME}:${release}`, path(release), ...options);
  }
  return { directory, images };
}
