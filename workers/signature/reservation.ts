import { isEngineTransport } from '../../lib/image/oci/transport.ts';
import type { Image } from '../../lib/image/open.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';

/** Scratch space that reading an image takes, in bytes: blobs of a registry, or an engine's export. Layers are not unpacked. */
export function keptSize(image: Image): number {
  const transport = splitTransport(image.reference)?.transport ?? 'oci';
  if (transport !== 'docker' && !isEngineTransport(transport)) return 0;
  const blobs = new Map(image.layers.map(({ descriptor: { digest, size } }) => [digest, size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}
