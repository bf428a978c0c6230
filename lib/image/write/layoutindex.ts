import { type Descriptor } from '../oci/descriptor.ts';
import { MEDIA_TYPES } from '../oci/manifest.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';
/** Full names, which containerd reads. */
const CONTAINERD_NAME = 'io.containerd.image.name';
const DEFAULT_TAG = 'latest';

/** The file `oci-layout` (OCI image-spec, image-layout.md). */
export const LAYOUT_MARKER = Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' }));

/**
 * The file `index.json` of a layout.
 *
 * @param others items that the index has already; the one with the same tag is replaced
 */
export function layoutIndex(
  manifest: Descriptor,
  tag: string | undefined,
  others: readonly unknown[] = [],
): Buffer {
  const name = tag ?? DEFAULT_TAG;
  const descriptor: Descriptor = {
    ...manifest,
    annotations: { [REF_NAME]: name, ...(name.includes('/') && { [CONTAINERD_NAME]: name }) },
  };
  const kept = others.filter((other) => nameOf(other) !== name);
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [...kept, descriptor] }),
  );
}

function nameOf(item: unknown): unknown {
  return (item as { annotations?: Record<string, unknown> }).annotations?.[REF_NAME];
}
