/** Artifacts of images in OCI layouts, and cosign's signatures among them. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Digest } from '../../../lib/digest.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { verifyImage } from '../../../lib/site/attached.ts';
import {
  keepAttachments,
  parseAttachments,
  readAttachments,
  serializeAttachments,
  type Attachments,
} from '../../../lib/store/attached/attachments.ts';
import { collectAttachments } from '../../../lib/store/attached/collect.ts';
import { readCosignKeys } from '../../../lib/store/attached/cosign.ts';
import { writeAttachments } from '../../../lib/store/attached/layout.ts';
import { findArtifactSource } from '../../../lib/store/attached/sources.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import {
  addToLayout,
  artifactOf,
  makeCosignKey,
  MANIFEST_TYPE,
  signBundle,
  signSimple,
  type SignedArtifact,
} from '../../support/cosign.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { indexEntry, writeIndex, writeLayout } from '../../support/layout.ts';
import { writeTar } from '../../support/tar.ts';

const tagOf = (digest: string, suffix = 'sig') => `${digest.replace(':', '-')}.${suffix}`;

async function setUp(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const layout = join(directory, 'image');
  const made = await writeLayout(layout, [writeTar([{ path: 'file', content: 'text' }])]);
  const key = makeCosignKey();
  const path = join(directory, 'cosign.pub');
  await writeFile(path, key.publicKey);
  const collect = async (text = `oci:${layout}:latest`) => {
    const reference = await parseReference(text);
    const image = await openImage(reference, { limits, platform: { os: 'linux', architecture: 'amd64' } });
    const place = (await findArtifactSource(reference, { limits }))!;
    const found = await collectAttachments(place.source, image, place.reference);
    // as a site gets them
    return parseAttachments(serializeAttachments(found), found.target, 'here');
  };
  const verify = await readCosignKeys([path]);
  const target = {
    manifest: made.manifestDigest as Digest,
    config: made.configDigest as Digest,
    layers: made.configDigest as Digest,
    size: 1,
  };
  return {
    directory,
    layout,
    made,
    key,
    collect,
    add: (artifact: SignedArtifact, tag?: string) => addToLayout(layout, artifact, tag),
    check: (attachments: Attachments, config = target.config) =>
      verifyImage({ ...target, config }, attachments, verify, 'here', limits),
    sig: tagOf(made.manifestDigest),
  };
}

const annotations = (kind: string) => ({ annotations: { kind: `dev.cosignproject.cosign/${kind}` } });
const refused = (message: RegExp) => ({ kind: 'untrusted', message });
const NONE = refused(/^no cosign signature of a key that is trusted: expected a signature of sha256:/);

test('an image without a signature, or with one of another key, is refused', async (t) => {
  const { made, collect, add, check, sig } = await setUp(t);
  const none = await collect();
  assert.deepEqual(none.artifacts, []);
  assert.throws(() => check(none), NONE);
  await add(signSimple(made.manifestDigest, makeCosignKey()), sig);
  const ofOther = await collect();
  assert.equal(ofOther.artifacts.length, 1);
  assert.throws(() => check(ofOther), NONE);
});

test('a trusted signature is accepted, and refused when it is moved to another image', async (t) => {
  const { made, key, collect, add, check, sig } = await setUp(t);
  await add(signSimple(made.manifestDigest, key), sig);
  const attachments = await collect();
  check(attachments);
  // the image ID is claimed by a record that the key has not signed
  const claimed = refused(/^image ID of another image than the signed manifest/);
  assert.throws(() => check(attachments, `sha256:${'1'.repeat(64)}`), claimed);

  const other = await setUp(t);
  const moved = signSimple(`sha256:${'1'.repeat(64)}`, key);
  await other.add(moved, other.sig);
  await writeFile(join(other.directory, 'cosign.pub'), key.publicKey);
  const verify = await readCosignKeys([join(other.directory, 'cosign.pub')]);
  const found = await other.collect();
  assert.throws(() => verify(found, 'here'), refused(/^the cosign signatures are of other images/));
});

test('one changed byte of payload or signature makes a signature worthless', async (t) => {
  const { made, key, collect, add, check, sig } = await setUp(t);
  const { manifest } = signSimple(made.manifestDigest, key);
  const [first] = (JSON.parse(String(manifest)) as { layers: { annotations: Record<string, string> }[] })
    .layers;
  const value = first!.annotations['dev.cosignproject.cosign/signature']!;
  const bytes = Buffer.from(value, 'base64');
  bytes[bytes.length - 1]! ^= 1;
  const content = [...signSimple(made.manifestDigest, key).blobs.values()][1]!;
  const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json';
  const layer = (signature: string, signed: Buffer) =>
    [{ mediaType, annotations: { 'dev.cosignproject.cosign/signature': signature } }, signed] as const;
  const layers = [
    layer(bytes.toString('base64'), content),
    layer('', content),
    layer('AAAA', content),
    layer(value, Buffer.from(String(content).replace('registry.example', 'registry.examplf'))),
  ];
  const config = 'application/vnd.oci.image.config.v1+json';
  await add(artifactOf(config, layers), sig);
  const found = await collect();
  assert.throws(() => check(found), refused(/^no cosign signature of a key .*found 4 signatures/));
  const whole = await setUp(t);
  await whole.add(artifactOf(config, [...layers, layer(value, content)]), sig);
  check(await whole.collect());
});

test('a bundle among the referrers is accepted if it signs the image, not if it attests to it', async (t) => {
  const { made, key, collect, add, check } = await setUp(t);
  await add(signBundle(made.manifestDigest, key, 'https://spdx.dev/Document'));
  const attested = await collect();
  assert.equal(attested.artifacts.length, 1);
  assert.throws(() => check(attested), refused(/^the cosign signatures are of other images/));
  await add(signBundle(made.manifestDigest, key));
  check(await collect());
});

test('a signature of the index with the image is one of the image', async (t) => {
  const { layout, made, key, collect, check } = await setUp(t);
  const platform = { os: 'linux', architecture: 'amd64' };
  const entry = await indexEntry(layout, made.manifestDigest, { platform });
  const index = await writeIndex(layout, [entry], { blob: true });
  await writeIndex(layout, [await indexEntry(layout, index, { tag: 'latest', kind: 'index' })]);
  await addToLayout(layout, signSimple(index, key), tagOf(index));
  const attachments = await collect();
  check(attachments);
  // an index that does not list the image proves nothing
  const other = JSON.stringify({ schemaVersion: 2, manifests: [] });
  assert.throws(() => check({ ...attachments, indexes: [other] }), /of other images/);
});

test("artifacts in cosign's own layouts are found by their kind", async (t) => {
  const { layout, made, key, collect, check } = await setUp(t);
  const artifact = signSimple(made.manifestDigest, key);
  await addToLayout(layout, artifact);
  const image = await indexEntry(layout, made.manifestDigest);
  const sigs = { mediaType: MANIFEST_TYPE, digest: artifact.digest, size: artifact.manifest.length };
  await writeIndex(layout, [
    { ...image, ...annotations('image') },
    { ...sigs, ...annotations('sigs') },
  ]);
  const attachments = await collect(`oci:${layout}:${made.manifestDigest}`);
  assert.equal(attachments.artifacts[0]!.tag, tagOf(made.manifestDigest));
  check(attachments);
});

test('artifacts are stored, added to, and written to a layout byte for byte', async (t) => {
  const { directory, made, key, collect, add, check, sig } = await setUp(t);
  const store = await openDirectoryStore(join(directory, 'store'));
  await add(signSimple(made.manifestDigest, key), sig);
  const first = await collect();
  assert.equal(await keepAttachments(store, first), true);
  assert.equal(await keepAttachments(store, first), false);
  // another place has a bill of materials, and no signature
  const { artifacts, blobs } = signBundleOf(made.manifestDigest, first);
  assert.equal(await keepAttachments(store, { ...first, artifacts, blobs }), true);
  const stored = (await readAttachments(store, made.manifestDigest as Digest))!;
  assert.equal(stored.artifacts.length, 2);
  check(stored);

  const out = join(directory, 'out');
  for (const _ of [1, 2]) await writeAttachments(stored, out);
  const index = JSON.parse(await readFile(join(out, 'index.json'), 'utf8')) as { manifests: unknown[] };
  assert.equal(index.manifests.length, 2);
  for (const { digest, document } of stored.artifacts) {
    assert.equal(await readFile(join(out, 'blobs', 'sha256', digest.slice(7)), 'utf8'), document);
  }
});

test('damage in stored artifacts is found', async (t) => {
  const { made, key, collect, add, sig } = await setUp(t);
  await add(signSimple(made.manifestDigest, key), sig);
  const attachments = await collect();
  const text = String(serializeAttachments(attachments));
  const parse = (changed: string) => parseAttachments(Buffer.from(changed), attachments.target, 'here');
  parse(text);
  const base64 = /"base64": "(\w{8})/.exec(text)![1]!;
  for (const changed of [
    text.replace(base64, 'AAAAAAAA'),
    text.replace('simplesigning', 'simplesigninh'),
    text.replace('schemaVersion', 'schemaversion'),
    text.replace('"version": 1', '"version": 2'),
  ]) {
    assert.throws(() => parse(changed), { kind: 'bad-input' });
  }
  assert.throws(() => parseAttachments(Buffer.from(text), `sha256:${'1'.repeat(64)}`, 'here'), {
    kind: 'bad-input',
    message: /^attachments of another image/,
  });
  const [artifact] = attachments.artifacts;
  const many = { ...attachments, artifacts: Array.from({ length: 1000 }, () => artifact!) };
  const tooMany = { kind: 'bad-input', message: /a list of at most 32/ };
  assert.throws(() => parse(String(serializeAttachments(many))), tooMany);
});

test('an artifact that is too large is named and left', async (t) => {
  const { made, collect, add } = await setUp(t);
  const large = artifactOf('application/vnd.oci.empty.v1+json', [
    [{ mediaType: 'text/plain' }, Buffer.alloc(2 ** 20 + 1)],
  ]);
  await add(large, tagOf(made.manifestDigest, 'sbom'));
  const { artifacts, left } = await collect();
  assert.deepEqual(artifacts, []);
  assert.equal(left[0]!.digest, large.digest);
  assert.match(left[0]!.why, /^artifact is too large: expected at most 1048576 bytes/);
});

test('a key of another kind, or a private one, is refused', async (t) => {
  const { directory, key } = await setUp(t);
  const path = join(directory, 'key');
  await writeFile(path, key.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(readCosignKeys([path]), { kind: 'usage', message: /^key cannot be read/ });
});

function signBundleOf(digest: string, { artifacts: [first] }: Attachments) {
  const made = signBundle(digest, makeCosignKey());
  const artifact = {
    subject: first!.subject,
    artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    mediaType: MANIFEST_TYPE,
    digest: made.digest as Digest,
    document: String(made.manifest),
  };
  return { artifacts: [artifact], blobs: made.blobs as ReadonlyMap<Digest, Buffer> };
}
