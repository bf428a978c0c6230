/** Small images in successive releases: a base layer and an application layer over it. */
import { compress, writeLayout, type Layout, type LayoutOptions } from './layout.ts';
import { createRandom } from './random.ts';
import { writeTar, type TarFixture } from './tar.ts';

/** Files of the base and of the application. */
const BASE_FILES = 24;
const APP_FILES = 12;

/**
 * Layers of a release. Releases of a family share most content; each has other mtimes everywhere, a few files
 * changed in places and one that only it has, so that no layer digest is shared.
 */
export function releaseLayers(family: number, release: number): Buffer[] {
  return [
    writeTar([{ path: 'usr/' }, ...files(family, release, 'usr/base', BASE_FILES)]),
    writeTar([
      { path: 'srv/', mtime: release },
      ...files(family, release, 'srv/app', APP_FILES),
      { path: 'srv/release', content: createRandom(family * 1009 + release).text(3000), mtime: release },
    ]),
  ];
}

/** Layers of a release that is so large that a patch is smaller than a pull. */
export function largeLayers(release: number): Buffer[] {
  const noise = createRandom(7).bytes(1_000_000);
  return [writeTar([{ path: 'noise', content: noise, mtime: release }]), ...releaseLayers(1, release)];
}

function files(family: number, release: number, prefix: string, count: number): TarFixture[] {
  return Array.from({ length: count }, (_, i) => {
    const random = createRandom(family * 7919 + prefix.length * 101 + i);
    const content = Buffer.from(random.text(500 + random.below(9000)));
    // every fifth file gets another number in each release, as a version string would
    if (i % 5 === 0) content.write(String(release).padStart(6, '0'), random.below(content.length - 6));
    return { path: `${prefix}-${i}`, content, mtime: release };
  });
}

const blobsOfReleases = new Map<string, Uint8Array[]>();

/** The layers' blobs, compressed once per process. */
function releaseBlobs(family: number, release: number, layers: readonly Buffer[]): Uint8Array[] {
  const key = `${family} ${release}`;
  const blobs = blobsOfReleases.get(key) ?? layers.map((layer) => compress(layer, 'gzip'));
  blobsOfReleases.set(key, blobs);
  return blobs;
}

export async function writeRelease(
  directory: string,
  family: number,
  release: number,
  options: LayoutOptions = {},
): Promise<Layout> {
  const layers = releaseLayers(family, release);
  const known = options.compression === undefined ? { blobs: releaseBlobs(family, release, layers) } : {};
  return writeLayout(directory, layers, { ...known, ...options });
}
