/** A mirror over a registry with two releases, and a store with a patch between them. */
import { join } from 'node:path';
import { startFront, type Front } from './front.ts';
import { startMirror, type RunningMirror } from './mirror.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { startRegistry, type Registry } from './registry.ts';
import type { Scope } from './scope.ts';
import { makeSiteStore, NAME, type SiteStore } from './sitestore.ts';
import { skopeoCopy, skopeoManifest, skopeoPush } from './skopeo.ts';
import { startWeb, type WebServer } from './web.ts';

export interface MirrorSite extends SiteStore {
  readonly registry: Registry;
  /** In front of the registry. */
  readonly front: Front;
  /** Serves the store. */
  readonly web: WebServer;
  /** In front of `web`. */
  readonly link: Proxy;
  readonly mirror: RunningMirror;
  /** Name of a release in the mirror: `HOST/REPOSITORY`. */
  readonly name: string;
  /** Copies an image out of the mirror, which verifies its blobs. @returns its manifest digest */
  copy(reference: string): Promise<string>;
}

export const publicKey = ({ directory }: SiteStore) => join(directory, 'owner.pub');

/** Tags: the numbers of the releases. */
export async function makeMirrorSite(
  t: Scope,
  options: (made: SiteStore) => readonly string[] = () => [],
): Promise<MirrorSite> {
  const registry = await startRegistry(t);
  const front = await startFront(t, registry, () => false);
  const made = await makeSiteStore(t, { sign: true });
  const [host, ...path] = NAME.split('/');
  for (const release of made.images.keys()) {
    const layout = join(made.directory, String(release + 1));
    await skopeoPush(`oci:${layout}`, `${front.host}/${path.join('/')}:${release + 1}`);
  }
  const web = await startWeb(t, made.store);
  const link = await startProxy(t, web);
  const places = ['--upstream', `${host}=http://${front.host}`, '--store', `http://127.0.0.1:${link.port}`];
  const mirror = await startMirror(t, made.directory, ...places, ...options(made));
  const name = `${mirror.host}/${NAME.replace(':', '_')}`;
  let copies = 0;
  return {
    ...made,
    registry,
    front,
    web,
    link,
    mirror,
    name,
    async copy(reference) {
      const target = `dir:${join(made.directory, `copy-${copies++}`)}`;
      await skopeoCopy(`docker://${name}${reference}`, target, '--tls-verify=false');
      return skopeoManifest(target);
    },
  };
}

/** The blobs that were asked for upstream since a number of requests. */
export function upstreamBlobs({ front }: MirrorSite, since: number): readonly string[] {
  return front.seen.slice(since).flatMap(({ path }) => /\/blobs\/(.+)$/.exec(path)?.[1] ?? []);
}

export function patchRequests({ web }: MirrorSite): number {
  return web.requests.filter(({ path }) => path.includes('/patches/')).length;
}
