import { isEngineTransport } from '../../lib/image/oci/transport.ts';
import type { Descriptor } from '../../lib/image/oci/descriptor.ts';
import type { Image } from '../../lib/image/open.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';

/**
 * Scratch space that reading layers of an image takes, in bytes: blobs of a registry, or an engine's export, which has all
 * layers. Layers are not unpacked.
 */
export function keptSize(image: Image, unread: readonly Descriptor[]): number {
  const transport = splitTransport(image.reference)?.transport ?? 'oci';
  if (transport !== 'docker' && !isEngineTransport(transport)) return 0;
  const kept = transport === 'docker' ? unread : image.layers.map(({ descriptor }) => descriptor);
  const blobs = new Map(kept.map(({ digest, size }) => [digest, size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}
