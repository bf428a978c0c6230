/**
 * Signatures in the formats of cosign, made by node:crypto. `test/store/attached/cosign.test.ts` has them verified by
 * sigstore's library, which cosign signs and verifies with, and verifies those of the library.
 */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeIndex, type IndexEntry } from './layout.ts';

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface CosignKey {
  readonly privateKey: KeyObject;
  /** SPKI, PEM. */
  readonly publicKey: string;
}

/** As `cosign generate-key-pair`. */
export function makeCosignKey(): CosignKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

export interface SignedArtifact {
  readonly manifest: Buffer;
  readonly digest: string;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

/** The artifact that `cosign sign --key` pushes under the tag `sha256-HEX.sig`. @param digest of the image */
export function signSimple(digest: string, { privateKey }: CosignKey): SignedArtifact {
  const critical = {
    identity: { 'docker-reference': 'registry.example/team/app' },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  };
  return signPayload(Buffer.from(JSON.stringify({ critical, optional: null })), privateKey);
}

/** As `signSimple`, of any payload. */
export function signPayload(payload: Buffer, privateKey: KeyObject): SignedArtifact {
  const value = sign('sha256', payload, { key: privateKey, dsaEncoding: 'der' }).toString('base64');
  return simpleArtifact([[value, payload]]);
}

/** @param signatures in base64, with their payloads */
export function simpleArtifact(
  signatures: readonly (readonly [string, Buffer])[],
  more: object = {},
): SignedArtifact {
  const layers = signatures.map(([value, payload]) => {
    const annotations = { 'dev.cosignproject.cosign/signature': value };
    return [{ mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json', annotations }, payload] as const;
  });
  return artifactOf('application/vnd.oci.image.config.v1+json', layers, more);
}

/** The artifact that `cosign sign --new-bundle-format --key` attaches to the image as a referrer. */
export function signBundle(
  digest: string,
  { privateKey }: CosignKey,
  predicateType = 'https://sigstore.dev/cosign/sign/v1',
): SignedArtifact {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: digest.slice('sha256:'.length) } }],
    predicateType,
    predicate: {},
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const type = 'application/vnd.in-toto+json';
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  const sig = sign('sha256', signed, { key: privateKey, dsaEncoding: 'der' }).toString('base64');
  return bundleArtifact(digest, {
    payload: payload.toString('base64'),
    payloadType: type,
    signatures: [{ sig }],
  });
}

/** @param dsseEnvelope of a bundle. @param digest of the image */
export function bundleArtifact(digest: string, dsseEnvelope: object): SignedArtifact {
  const bundle = {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: 'aGludA==' } },
    dsseEnvelope,
  };
  const layer = { mediaType: BUNDLE_TYPE };
  return artifactOf('application/vnd.oci.empty.v1+json', [[layer, Buffer.from(JSON.stringify(bundle))]], {
    artifactType: BUNDLE_TYPE,
    subject: { mediaType: MANIFEST_TYPE, digest, size: 1 },
  });
}

export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

export function artifactOf(
  configType: string,
  layers: readonly (readonly [object, Buffer])[],
  more: object = {},
): SignedArtifact {
  const config = Buffer.from('{}');
  const described = (bytes: Buffer) => ({ digest: digestOf(bytes), size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: configType, ...described(config) },
      layers: layers.map(([layer, bytes]) => ({ ...layer, ...described(bytes) })),
      ...more,
    }),
  );
  const blobs = [config, ...layers.map(([, bytes]) => bytes)].map(
    (bytes) => [digestOf(bytes), bytes] as const,
  );
  return { manifest, digest: digestOf(manifest), blobs: new Map(blobs) };
}

/** Adds an artifact to an OCI layout. */
export async function addToLayout(
  directory: string,
  { manifest, digest, blobs }: SignedArtifact,
  tag?: string,
): Promise<void> {
  for (const [name, bytes] of [...blobs, [digest, manifest] as const]) {
    await writeFile(join(directory, 'blobs', 'sha256', name.slice('sha256:'.length)), bytes);
  }
  const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')) as {
    manifests: IndexEntry[];
  };
  const annotations = tag === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': tag } };
  const entry = { mediaType: MANIFEST_TYPE, digest, size: manifest.length, ...annotations };
  await writeIndex(directory, [...index.manifests, entry]);
}

/** Pushes an artifact to a repository, under a tag or its digest. */
export async function pushArtifact(
  host: string,
  repository: string,
  { manifest, digest, blobs }: SignedArtifact,
  reference = digest,
): Promise<void> {
  const base = `http://${host}/v2/${repository}`;
  for (const [name, bytes] of blobs) {
    const { headers } = check(await fetch(`${base}/blobs/uploads/`, { method: 'POST' }));
    const upload = new URL(headers.get('location')!, base);
    upload.searchParams.set('digest', name);
    check(await fetch(upload, { method: 'PUT', body: new Uint8Array(bytes) }));
  }
  const type = { 'content-type': MANIFEST_TYPE };
  const body = new Uint8Array(manifest);
  check(await fetch(`${base}/manifests/${reference}`, { method: 'PUT', body, headers: type }));
}

function check(response: Response): Response {
  if (!response.ok) throw new Error(`${response.status} ${response.url}`);
  return response;
}
