import { isDigest, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import { type Descriptor } from '../oci/descriptor.ts';
import { fittingEntries } from '../oci/indexentries.ts';
import { isIndex, parseConfig, parseIndex, parseManifest } from '../oci/manifest.ts';
import { formatReleaseName, parseReleaseName } from '../oci/releasename.ts';
import { engineCommand, type EngineOptions, type Run } from './command.ts';
import type { Engine, EngineImage } from './engine.ts';

/**
 * containerd, by its command `ctr`, which reads CONTAINERD_ADDRESS, CONTAINERD_NAMESPACE (`k8s.io` for the kubelet's
 * images) and CONTAINERD_SNAPSHOTTER. Its images have full names and no IDs.
 */
export function containerdEngine(options?: EngineOptions): Engine {
  const run = engineCommand('ctr', options);
  const nameOf = async (image: string): Promise<string> => {
    if (!isDigest(image)) return formatReleaseName(parseReleaseName(image));
    const found = (await listImages(run)).find(({ config }) => config === image);
    if (found) return found.names[0]!;
    throw new PanamaxError('not-found', 'the engine has no such image', { expected: image, where: 'ctr' });
  };
  return {
    transport: 'containerd',
    list: () => listImages(run),
    export: async (image, path) => void (await run('images', 'export', path, await nameOf(image))),
    load: async (path) => void (await run('images', 'import', path)),
    tag: async (image, name) =>
      void (await run('images', 'tag', '--force', await nameOf(image), await nameOf(name))),
    pull: async (name) => void (await run('images', 'pull', await nameOf(name))),
  };
}

/** Leaves out images of other platforms and images with missing content. */
async function listImages(run: Run): Promise<EngineImage[]> {
  const table = String(await run('images', 'ls'));
  const byManifest = new Map<string, EngineImage>();
  for (const line of table.split('\n').slice(1)) {
    const [name, mediaType, digest] = line.split(/\s+/);
    if (!name || !mediaType || !isDigest(digest)) continue;
    const known = byManifest.get(digest);
    const image = known ?? (await inspect(run, { mediaType, digest, size: 0 }).catch(ignoreUnusable));
    if (image) byManifest.set(digest, { ...image, names: [...image.names, name] });
  }
  return merged([...byManifest.values()]);
}

const where = (digest: Digest) => `ctr content get ${digest}`;

async function inspect(run: Run, named: Descriptor): Promise<EngineImage> {
  const get = (digest: Digest) => run('content', 'get', digest);
  let manifest = named.digest;
  const document = await get(manifest);
  if (isIndex(document, named.mediaType, where(manifest))) {
    const documents = { where: 'ctr content get', read: ({ digest }: Descriptor) => get(digest) };
    const entries = parseIndex(document, where(manifest));
    const [entry] = await fittingEntries(documents, entries, where(manifest), { limits: DEFAULT_LIMITS });
    manifest = entry!.descriptor().digest;
  }
  const parsed = parseManifest(await get(manifest), DEFAULT_LIMITS, where(manifest));
  const { digest } = parsed.config;
  const { diffIDs } = parseConfig(await get(digest), parsed, where(digest));
  return { config: digest, diffIDs, names: [], manifests: [...new Set([manifest, named.digest])] };
}

function ignoreUnusable(error: unknown): undefined {
  if (error instanceof PanamaxError && (error.kind === 'not-found' || error.kind === 'bad-input')) return;
  throw error;
}

/** Merges the manifests and names of one image. */
function merged(images: readonly EngineImage[]): EngineImage[] {
  const byConfig = new Map<Digest, EngineImage>();
  for (const image of images) {
    const known = byConfig.get(image.config);
    if (!known) byConfig.set(image.config, image);
    else {
      const names = [...known.names, ...image.names];
      byConfig.set(image.config, { ...known, names, manifests: [...known.manifests, ...image.manifests] });
    }
  }
  return [...byConfig.values()];
}
