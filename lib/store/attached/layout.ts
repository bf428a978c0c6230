import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hexOf, type Digest } from '../../digest.ts';
import { LAYOUT_MARKER } from '../../image/write/layoutindex.ts';
import { MEDIA_TYPES } from '../../image/oci/manifest.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import { flush, makeDirectories, replaceFile, statIfThere } from '../../runtime/file.ts';
import type { Artifact, Attachments } from './attachments.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * Adds artifacts to an OCI layout directory. A missing one is made; one that exists keeps its contents. An artifact that
 * registries have under a tag has that tag, so that `skopeo copy oci:DIR:sha256-HEX.sig` finds it.
 */
export async function writeAttachments({ artifacts, blobs }: Attachments, directory: string): Promise<void> {
  const folder = join(directory, 'blobs', 'sha256');
  await makeDirectories(folder);
  const files = new Map<Digest, Uint8Array>(blobs);
  for (const { digest, document } of artifacts) files.set(digest, Buffer.from(document));
  for (const [digest, bytes] of files) {
    const path = join(folder, hexOf(digest));
    const there = await readIfThere(path, bytes.length);
    if (!there?.equals(bytes)) await writeNew(path, bytes);
  }
  await flush(folder);
  const marker = join(directory, 'oci-layout');
  if (!(await statIfThere(marker))) await writeNew(marker, LAYOUT_MARKER);
  const own = new Set(artifacts.flatMap(({ digest, tag }) => (tag === undefined ? [digest] : [digest, tag])));
  const others = (await itemsOf(directory)).filter(
    (item) => !own.has(digestOf(item)) && !own.has(tagOf(item)),
  );
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [...others, ...artifacts.map(descriptorOf)],
  };
  await writeNew(join(directory, 'index.json'), Buffer.from(JSON.stringify(index)));
}

/** The content of a file of a size; undefined for any other. */
async function readIfThere(path: string, size: number): Promise<Buffer | undefined> {
  const info = await statIfThere(path);
  return info?.size === size ? readFile(path) : undefined;
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  await replaceFile(path, async (part) => {
    await writeFile(part, bytes);
    await flush(part);
  });
}

function descriptorOf({ mediaType, digest, document, artifactType, tag }: Artifact) {
  const size = Buffer.byteLength(document);
  return {
    mediaType,
    digest,
    size,
    ...(artifactType !== undefined && artifactType !== '' && { artifactType }),
    ...(tag !== undefined && { annotations: { [REF_NAME]: tag } }),
  };
}

/** Items of the layout's index. Unknown fields are kept. */
async function itemsOf(directory: string): Promise<readonly unknown[]> {
  const path = join(directory, 'index.json');
  if (!(await statIfThere(path))) return [];
  const index = asRecord(parseDocument(await readFile(path), path), path);
  return asArray(index['manifests'] ?? [], `${path} manifests`);
}

function digestOf(item: unknown): string {
  return String((item as { digest?: unknown } | null)?.digest);
}

function tagOf(item: unknown): string {
  return String((item as { annotations?: Record<string, unknown> } | null)?.annotations?.[REF_NAME]);
}
