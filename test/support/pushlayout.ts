/** Pushes an image of a layout by plain requests of the distribution API: faster than a start of skopeo. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { blobPath, type Layout } from './layout.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** @param repository `http://HOST/v2/PATH` */
export async function pushLayout(
  repository: string,
  tag: string,
  directory: string,
  layout: Layout,
): Promise<void> {
  for (const digest of [layout.configDigest, ...layout.layerDigests]) {
    const started = await fetch(`${repository}/blobs/uploads/`, { method: 'POST' });
    const upload = new URL(started.headers.get('location')!, repository);
    upload.searchParams.set('digest', digest);
    await put(upload, await readFile(blobPath(directory, digest)), 'application/octet-stream');
  }
  const manifest = await readFile(blobPath(directory, layout.manifestDigest));
  await put(new URL(`${repository}/manifests/${tag}`), manifest, MANIFEST);
}

async function put(url: URL, body: Uint8Array<ArrayBuffer>, type: string): Promise<void> {
  const { ok, status } = await fetch(url, { method: 'PUT', body, headers: { 'content-type': type } });
  assert.ok(ok, `${status} from ${url.href}`);
}

/** Digests of the referrers under the tag of an image, sorted. All of their blobs are there. */
export async function taggedReferrers(repository: string, image: string): Promise<string[]> {
  const index = await document(`${repository}/manifests/${image.replace(':', '-')}`);
  const digests: string[] = [];
  for (const { digest } of (index?.manifests ?? []) as Descriptor[]) {
    digests.push(digest);
    const manifest = await document(`${repository}/manifests/${digest}`);
    assert.ok(manifest, `${digest} is listed and missing`);
    for (const blob of [manifest.config, ...(manifest.layers as Descriptor[])] as Descriptor[]) {
      const { ok } = await fetch(`${repository}/blobs/${blob.digest}`, { method: 'HEAD' });
      assert.ok(ok, `${blob.digest} of ${digest} is missing`);
    }
  }
  return digests.sort();
}

interface Descriptor {
  readonly digest: string;
}

async function document(url: string): Promise<Record<string, unknown> | undefined> {
  const response = await fetch(url, { headers: { accept: `${INDEX}, ${MANIFEST}` } });
  const text = await response.text();
  if (response.status === 404) return undefined;
  assert.equal(response.status, 200, text);
  return JSON.parse(text) as Record<string, unknown>;
}
