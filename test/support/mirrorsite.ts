/** A mirror over a registry with two releases, and a store with a patch between them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startFront, type Front } from './front.ts';
import { startMirror, type RunningMirror } from './mirror.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { startRegistry, type Registry } from './registry.ts';
import type { Scope } from './scope.ts';
import { makeSiteStore, NAME, writeLarge, type SiteStore, type WriteImage } from './sitestore.ts';
import { skopeoCopy, skopeoManifest, skopeoPush } from './skopeo.ts';
import { startWeb, type WebServer } from './web.ts';

export interface MirrorSite extends SiteStore {
  readonly registry: Registry;
  /** In front of the registry. */
  readonly front: Front;
  /** From the mirror to the front. */
  readonly uplink: Proxy;
  /** Serves the store. */
  readonly web: WebServer;
  /** In front of `web`. */
  readonly link: Proxy;
  readonly mirror: RunningMirror;
  /** Bytes that the mirror has received so far. */
  readonly moved: number;
  /** Name of a release in the mirror: `HOST/REPOSITORY`. */
  readonly name: string;
  /** Copies an image out of the mirror, which verifies its blobs. @returns its manifest digest */
  copy(reference: string): Promise<string>;
}

export const publicKey = ({ directory }: SiteStore) => join(directory, 'owner.pub');

interface MirrorSiteOptions {
  /** Options of the mirror. */
  readonly options?: (made: SiteStore) => readonly string[];
  readonly writeImage?: WriteImage;
}

/** Tags: the numbers of the releases. */
export async function makeMirrorSite(
  t: Scope,
  { options = () => [], writeImage = writeLarge }: MirrorSiteOptions = {},
): Promise<MirrorSite> {
  const registry = await startRegistry(t);
  const front = await startFront(t, registry, () => false);
  const made = await makeSiteStore(t, { sign: true, writeImage });
  const [host, ...path] = NAME.split('/');
  for (const release of made.images.keys()) {
    const layout = join(made.directory, String(release + 1));
    await skopeoPush(`oci:${layout}`, `${front.host}/${path.join('/')}:${release + 1}`);
  }
  const web = await startWeb(t, made.store);
  const link = await startProxy(t, web);
  const uplink = await startProxy(t, { port: Number(front.host.split(':')[1]) });
  const upstream = `${host}=http://127.0.0.1:${uplink.port}`;
  const places = ['--upstream', upstream, '--store', `http://127.0.0.1:${link.port}`];
  const mirror = await startMirror(t, made.directory, ...places, ...options(made));
  const name = `${mirror.host}/${NAME.replace(':', '_')}`;
  let copies = 0;
  return {
    ...made,
    registry,
    front,
    uplink,
    web,
    link,
    mirror,
    name,
    get moved() {
      return link.received + uplink.received;
    },
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

/** @returns the path of the patch to a release */
export async function patchTo({ store, images }: SiteStore, release: number): Promise<string> {
  const directory = join(store, 'patches', images[release - 1]!.manifestDigest.replace(':', '-'));
  const name = (await readdir(directory)).find((file) => file.endsWith('.xdelta'));
  return join(directory, name!);
}
