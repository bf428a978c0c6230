import type { Digest } from '../digest.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import { parseReleaseName } from '../image/oci/releasename.ts';
import { openRepositoryImage } from '../image/open.ts';
import { openRepository } from '../image/registry/registry.ts';
import { registrySettings } from '../image/registry/settings.ts';
import type { Limits } from '../limits.ts';

export interface Prefetched {
  readonly digest: Digest;
  /** Of all layers. */
  readonly bytes: number;
}

/**
 * Pulls an image through a running mirror and drops it, so that the mirror holds it. Credentials for the mirror are
 * those of the docker command.
 *
 * @param mirror its URL, without a path
 * @throws PanamaxError `usage`, `not-found`, `io`
 */
export async function prefetch(
  name: string,
  mirror: URL,
  options: { readonly limits: Limits; readonly platform?: Platform; readonly signal: AbortSignal },
): Promise<Prefetched> {
  const { repository: full, tag, digest } = parseReleaseName(name);
  const repository = full.replace(':', '_');
  const settings = registrySettings(process.env);
  const insecure =
    mirror.protocol === 'http:' ? new Set([...settings.insecure, mirror.host]) : settings.insecure;
  const opened = openRepository(
    { registry: mirror.host, repository },
    { ...options, settings: { ...settings, insecure } },
  );
  const reference = { transport: 'docker', path: `${mirror.host}/${repository}` } as const;
  const image = await openRepositoryImage(opened, digest ?? tag!, reference, options);
  let bytes = 0;
  // one after the other, in the order in which a rebuild makes them
  for (const layer of image.layers) {
    for await (const piece of layer.blob()) bytes += piece.length;
  }
  return { digest: image.manifestDigest, bytes };
}
