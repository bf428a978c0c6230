import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { parseDescriptor, type Descriptor } from '../image/oci/descriptor.ts';
import { asRecord, parseDocument } from '../json.ts';

/** What a manifest or an index refers to. */
export interface References {
  /** Config and layers of a manifest. */
  readonly blobs: readonly Descriptor[];
  /** Manifests of an index. */
  readonly children: readonly Digest[];
}

/**
 * Reads the references of any manifest, also of artifacts that are not images. Entries that are no descriptors are
 * skipped: the mirror passes documents on as they are.
 *
 * @throws PanamaxError `bad-input` for anything but a JSON object
 */
export function referencesOf(bytes: Uint8Array, where: string): References {
  const { config, layers, blobs, manifests } = asRecord(parseDocument(bytes, where), where);
  const read = (list: unknown) => listOf(list).flatMap((item) => descriptorOf(item, where) ?? []);
  return {
    blobs: [...read([config]), ...read(layers), ...read(blobs)],
    children: read(manifests).map(({ digest }) => digest),
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function descriptorOf(value: unknown, where: string): Descriptor | undefined {
  try {
    return parseDescriptor(value, where);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}
