/** Releases in a registry, with patches beside them. */
import { execFile } from 'node:child_process';
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { panamaxJson } from './commands.ts';
import type { Registry } from './registry.ts';
import { makeSiteStore, type SiteStore } from './sitestore.ts';

export interface Pushed extends SiteStore {
  /** `HOST/team/app` */
  readonly name: string;
  /** Options of commands that write to the registry. */
  readonly options: readonly string[];
  /** Pushes a release under its own tag, or another one. */
  push(release: number, tag?: string): Promise<void>;
  publish(release: number | string, ...options: readonly string[]): Promise<void>;
  /** Publishes only the patch from one release, from a separate store. */
  publishFrom(release: number, source: number, ...options: readonly string[]): Promise<void>;
  /** Deletes a release's manifest from the registry. */
  remove(release: number): Promise<void>;
}

/** @param host of the registry, as in image names */
export async function pushReleases(
  t: TestContext,
  { host }: Pick<Registry, 'host'>,
  { count = 2, format = 'xdelta' } = {},
): Promise<Pushed> {
  const made = await makeSiteStore(t, { count, format });
  const store = join(made.directory, 'registry-store');
  // no names, and not the runs: names of these images belong to the registry
  for (const part of ['signatures', 'compressions', 'index', 'patches', 'pairings']) {
    await cp(join(made.store, part), join(store, part), { recursive: true });
  }
  const name = `${host}/team/app`;
  const options = ['--store', store, '--insecure-registry', host, '--scratch', join(made.directory, 'work')];
  const copy = ['--insecure-policy', 'copy', '-q', '--preserve-digests', '--dest-tls-verify=false'];
  const push = async (release: number, tag = String(release)) => {
    const from = `oci:${join(made.directory, String(release))}`;
    await promisify(execFile)('skopeo', [...copy, from, `docker://${name}:${tag}`]);
  };
  for (let release = 1; release <= count; release++) await push(release);
  const named = (release: number) => made.images[release - 1]!.manifestDigest.replace(':', '-');
  return {
    ...made,
    name,
    options,
    push,
    async publishFrom(release, source, ...others) {
      const own = join(made.directory, `store-${release}-${source}`);
      await cp(store, own, { recursive: true });
      const patches = join(own, 'patches', named(release));
      for (const file of await readdir(patches)) {
        if (!file.startsWith(named(source))) await rm(join(patches, file));
      }
      await panamaxJson('publish', `docker://${name}:${release}`, ...options, '--store', own, ...others);
    },
    async remove(release) {
      const { manifestDigest } = made.images[release - 1]!;
      const { ok } = await fetch(`http://${host}/v2/team/app/manifests/${manifestDigest}`, {
        method: 'DELETE',
      });
      if (!ok) throw new Error('not removed');
    },
    publish: async (release, ...others) =>
      void (await panamaxJson('publish', `docker://${name}:${release}`, ...options, ...others)),
  };
}
