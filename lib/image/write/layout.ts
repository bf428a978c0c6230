import type { Destination } from './destination.ts';
import { hexOf } from '../../digest.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { flush, ownName, writeChunks } from '../../runtime/file.ts';
import { type Descriptor } from '../oci/descriptor.ts';
import type { LayoutForm } from './form.ts';
import { MEDIA_TYPES } from '../oci/manifest.ts';
import type { ImageRecord } from '../record.ts';
import type { RebuiltLayer } from './rebuilt.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';
/** For names in full, which engines take. */
const CONTAINERD_NAME = 'io.containerd.image.name';
const DEFAULT_TAG = 'latest';

/** The index.json of a layout. `others` are the items it has already; one of the same tag makes room. */
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

export const LAYOUT_MARKER = Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' }));

/**
 * Writes into an OCI layout directory, made where it is missing; other images in it stay. A new layout is written
 * beside and appears in one step; in one that is there, which may be a disk of its own, all is written under
 * another name first, and the index that names the image changes last.
 */
export async function writeLayout(
  image: ImageRecord,
  layers: AsyncIterable<RebuiltLayer>,
  { path, name }: Destination,
  form: LayoutForm,
): Promise<void> {
  const exists = (await stat(path).catch(() => undefined)) !== undefined;
  const part = exists ? join(path, `.${ownName()}.part`) : `${path.replace(/\/+$/, '')}.${ownName()}.part`;
  const blobs = join(part, 'blobs', 'sha256');
  try {
    await mkdir(blobs, { recursive: true });
    for await (const layer of layers) {
      const { digest, bytes } = form.blob(layer);
      const blob = join(blobs, hexOf(digest));
      // a layer may stand in an image twice
      await rm(blob, { force: true });
      await writeChunks(blob, bytes);
    }
    await writeFile(join(blobs, hexOf(image.config)), image.configDocument);
    await writeFile(join(blobs, hexOf(form.descriptor.digest)), form.manifest);
    await writeFile(join(part, 'oci-layout'), LAYOUT_MARKER);
    await writeFile(join(part, 'index.json'), layoutIndex(form.descriptor, name, await itemsOf(path)));
    for (const blob of await readdir(blobs)) await flush(join(blobs, blob));
    if (exists) await moveInto(part, path);
    else await rename(part, path);
    await flush(exists ? path : dirname(path));
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

/** What the index.json of a layout lists; fields that are not known stay as they are. */
async function itemsOf(layout: string): Promise<readonly unknown[]> {
  const path = join(layout, 'index.json');
  if (!(await stat(path).catch(() => undefined))) return [];
  const index = asRecord(parseDocument(await readFile(path), path), path);
  return asArray(index['manifests'], `${path} manifests`);
}

async function moveInto(part: string, layout: string): Promise<void> {
  await mkdir(join(layout, 'blobs', 'sha256'), { recursive: true });
  for (const blob of await readdir(join(part, 'blobs', 'sha256'))) {
    await rename(join(part, 'blobs', 'sha256', blob), join(layout, 'blobs', 'sha256', blob));
  }
  for (const file of ['oci-layout', 'index.json']) await rename(join(part, file), join(layout, file));
}
