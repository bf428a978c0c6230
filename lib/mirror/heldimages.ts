import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { hexOf, type Digest } from '../digest.ts';
import { toPanamaxError } from '../errors.ts';
import { MEDIA_TYPES, parseConfig, parseManifest } from '../image/oci/manifest.ts';
import { layoutIndex, LAYOUT_MARKER } from '../image/write/layoutindex.ts';
import type { Resident } from '../site/choice/resident.ts';
import type { BlobCache } from './blobcache.ts';
import type { Context } from './context.ts';
import type { HeldManifest } from './records.ts';

/** Images whose blobs are all held: patches may start from them. */
export interface HeldImages {
  list(): Promise<Resident[]>;
}

type HeldContext = Pick<Context, 'records' | 'cache' | 'limits' | 'log'>;

export function createHeldImages({ records, cache, limits, log }: HeldContext): HeldImages {
  /** Undefined for anything but an image. Configs are read once, unless reading fails. */
  const known = new WeakMap<HeldManifest, Promise<Resident | undefined>>();

  async function read(manifest: HeldManifest): Promise<Resident | undefined> {
    const { digest, bytes, repository } = manifest;
    try {
      const image = parseManifest(bytes, limits, digest);
      const path = join(cache.directory, 'sha256', hexOf(image.config.digest));
      const config = await readFile(path).catch((error: unknown) => {
        throw toPanamaxError(error, path);
      });
      const { diffIDs } = parseConfig(config, image, image.config.digest);
      return {
        config: image.config.digest,
        manifests: [digest],
        diffIDs,
        label: `${repository}@${digest}`,
        isExported: false,
        reference: (scratch) => makeLayout(scratch, manifest, cache),
      };
    } catch (error) {
      const { kind, message } = toPanamaxError(error);
      if (!/^(bad-input|not-found|limit)$/.test(kind)) {
        known.delete(manifest);
        log.warn({ kind, error: message, image: `${repository}@${digest}` }, 'a held image cannot be read');
      }
      return undefined;
    }
  }

  return {
    async list() {
      const residents: Resident[] = [];
      for (const manifest of records.manifests.values()) {
        if (manifest.blobs.length === 0 || !isWhole(manifest, cache)) continue;
        const reading = known.get(manifest) ?? read(manifest);
        known.set(manifest, reading);
        const resident = await reading;
        if (resident) residents.push(resident);
      }
      return residents;
    },
  };
}

export function isWhole({ blobs }: Pick<HeldManifest, 'blobs'>, cache: BlobCache): boolean {
  return blobs.every(({ digest }) => cache.held.has(digest));
}

/** Makes an OCI layout of one image whose blobs are those of the cache. @returns its reference */
async function makeLayout(
  scratch: string,
  {
    digest,
    bytes,
    mediaType,
  }: { readonly digest: Digest; readonly bytes: Buffer; readonly mediaType: string },
  cache: BlobCache,
): Promise<string> {
  const layout = join(scratch, `held-${hexOf(digest)}`);
  await mkdir(layout);
  await symlink(resolve(cache.directory), join(layout, 'blobs'));
  await writeFile(join(layout, 'oci-layout'), LAYOUT_MARKER);
  const descriptor = { mediaType: mediaType || MEDIA_TYPES.ociManifest, digest, size: bytes.length };
  await writeFile(join(layout, 'index.json'), layoutIndex(descriptor, undefined));
  return `oci:${layout}`;
}
