/** Docker archives in forms that skopeo does not write. */
import { readFile } from 'node:fs/promises';
import { blobPath, compress, digestOf, type Layout } from './layout.ts';
import { writeTar, type TarFixture } from './tar.ts';

interface Contents {
  readonly config: Buffer;
  readonly layers: readonly Uint8Array[];
  readonly tags?: readonly string[];
}

const hex = (bytes: Uint8Array) => digestOf(bytes).slice('sha256:'.length);
const ociType = (name: string) => `application/vnd.oci.image.${name}.v1+json`;
const json = (path: string, document: unknown): TarFixture => ({ path, content: JSON.stringify(document) });

/** A config document for these layers. */
export function configOf(layers: readonly Uint8Array[]): Buffer {
  const rootfs = { type: 'layers', diff_ids: layers.map(digestOf) };
  return Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs }));
}

/** The form of docker up to 24: a directory per layer; a repeated layer is a symlink to the first. */
export function dockerSave({ config, layers, tags = ['app:1'] }: Contents): Buffer {
  const entries: TarFixture[] = [];
  const names: string[] = [];
  for (const [i, layer] of layers.entries()) {
    const directory = hex(Buffer.from(`layer ${i}`));
    const first = layers.findIndex((other) => Buffer.from(other).equals(layer));
    const name = `${directory}/layer.tar`;
    entries.push({ path: `${directory}/` }, { path: `${directory}/VERSION`, content: '1.0' });
    if (first === i) entries.push({ path: name, content: layer });
    else entries.push({ path: name, type: 'symlink', linkPath: `../${names[first]!}` });
    names.push(name);
  }
  const name = `${hex(config)}.json`;
  entries.push({ path: name, content: config });
  entries.push(json('manifest.json', [{ Config: name, RepoTags: tags, Layers: names }]));
  return writeTar(entries);
}

/** The form of crane and Bazel: compressed layers, the config under its digest, no directories. */
export function craneSave({ config, layers, tags = ['app:1'] }: Contents): Buffer {
  const blobs = layers.map((layer) => compress(layer, 'gzip'));
  const names = blobs.map((blob) => `${hex(blob)}.tar.gz`);
  const Config = digestOf(config);
  return writeTar([
    { path: Config, content: config },
    ...blobs.map((content, i) => ({ path: names[i]!, content })),
    json('manifest.json', [{ Config, RepoTags: tags, Layers: names }]),
  ]);
}

/**
 * The form of docker from 25 on with its containerd image store: an OCI layout whose index names an index of the
 * image and its attestation, and a manifest.json beside it.
 */
export async function containerdSave(directory: string, layout: Layout): Promise<Buffer> {
  const blob = (digest: string) => readFile(blobPath(directory, digest));
  const entries = new Map<string, TarFixture>();
  const add = (content: Buffer) => {
    const path = `blobs/sha256/${hex(content)}`;
    entries.set(path, { path, content });
    return { digest: digestOf(content), size: content.length };
  };
  const document = (value: unknown) => add(Buffer.from(JSON.stringify(value)));

  const manifest = add(await blob(layout.manifestDigest));
  add(await blob(layout.configDigest));
  for (const digest of layout.layerDigests) add(await blob(digest));
  const statement = { mediaType: 'application/vnd.in-toto+json', ...document({ _type: 'in-toto' }) };
  const attestation = document({
    schemaVersion: 2,
    mediaType: ociType('manifest'),
    config: { mediaType: ociType('config'), ...document({ os: 'unknown', architecture: 'unknown' }) },
    layers: [statement],
  });
  const index = document({
    schemaVersion: 2,
    mediaType: ociType('index'),
    manifests: [
      {
        mediaType: ociType('manifest'),
        ...attestation,
        annotations: {
          'vnd.docker.reference.digest': manifest.digest,
          'vnd.docker.reference.type': 'attestation-manifest',
        },
        platform: { os: 'unknown', architecture: 'unknown' },
      },
      { mediaType: ociType('manifest'), ...manifest, platform: { os: 'linux', architecture: 'amd64' } },
    ],
  });
  const annotations = {
    'io.containerd.image.name': 'docker.io/library/app:1',
    'org.opencontainers.image.ref.name': '1',
  };
  return writeTar([
    ...entries.values(),
    json('index.json', {
      schemaVersion: 2,
      manifests: [{ mediaType: ociType('index'), ...index, annotations }],
    }),
    json('manifest.json', [
      {
        Config: `blobs/sha256/${layout.configDigest.slice('sha256:'.length)}`,
        RepoTags: ['app:1'],
        Layers: layout.layerDigests.map((digest) => `blobs/sha256/${digest.slice('sha256:'.length)}`),
      },
    ]),
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
  ]);
}
