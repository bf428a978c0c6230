/** Artifacts of images in OCI layouts, and cosign's signatures among them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { digestOf, type Digest } from '../../../lib/digest.ts';
import { PanamaxError } from '../../../lib/errors.ts';
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
import { collectAttachments, type ArtifactSource } from '../../../lib/store/attached/collect.ts';
import { readCosignKeys } from '../../../lib/store/attached/cosign.ts';
import { writeAttachments } from '../../../lib/store/attached/layout.ts';
import { findArtifactSource } from '../../../lib/store/attached/sources.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import {
  addToLayout,
  artifactOf,
  BUNDLE_TYPE,
  bundleArtifact,
  makeCosignKey,
  MANIFEST_TYPE,
  signBundle,
  signPayload,
  signSimple,
  simpleArtifact,
  type SignedArtifact,
} from '../../support/cosign.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { indexEntry, writeIndex, writeLayout, type IndexEntry } from '../../support/layout.ts';
import { findProgram, missing } from '../../support/programs.ts';
import { writeTar } from '../../support/tar.ts';
import { unsealed } from '../../support/unsealed.ts';

const execute = promisify(execFile);
const skip = missing('cosign-judge');

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
    /** Leaves only the image in the layout's index. */
    reset: async () => writeIndex(layout, [await indexEntry(layout, made.manifestDigest, { tag: 'latest' })]),
    check: (attachments: Attachments, config = target.config) =>
      verifyImage({ ...target, config }, attachments, verify, 'here', limits),
    sig: tagOf(made.manifestDigest),
  };
}

const annotations = (kind: string) => ({ annotations: { kind: `dev.cosignproject.cosign/${kind}` } });
const LARGE = Buffer.alloc(2 ** 20 + 1);
const refused = (message: RegExp) => ({ kind: 'untrusted', message });
const OTHERS = refused(/^the cosign signatures are of other images/);
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
  assert.throws(() => verify(found, 'here'), OTHERS);
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
  const signatures = [
    [bytes.toString('base64'), content],
    ['', content],
    ['AAAA', content],
    [value, Buffer.from(String(content).replace('registry.example', 'registry.examplf'))],
  ] as const;
  await add(simpleArtifact(signatures), sig);
  const found = await collect();
  assert.throws(() => check(found), refused(/^no cosign signature of a key .*found 4 signatures/));
  const whole = await setUp(t);
  await whole.add(simpleArtifact([...signatures, [value, content]]), sig);
  check(await whole.collect());
});

test('a payload of another type, or one that names the digest elsewhere, is no signature of the image', async (t) => {
  const { made, key, collect, add, reset, check, sig } = await setUp(t);
  const image = { 'docker-manifest-digest': made.manifestDigest };
  const type = 'cosign container image signature';
  const payloads = [
    { critical: { image, type: 'atomic container signature' } },
    { critical: { image } },
    { critical: { type }, optional: { image } },
    { critical: { image: made.manifestDigest, type } },
    { critical: { image: { 'docker-manifest-digest': [made.manifestDigest] }, type } },
    { critical: { image: { 'docker-manifest-digest': made.manifestDigest.slice(7) }, type } },
    { image, type },
    [],
    null,
  ];
  for (const payload of payloads) {
    await add(signPayload(Buffer.from(JSON.stringify(payload)), key.privateKey), sig);
    const found = await collect();
    assert.equal(found.artifacts.length, 1);
    assert.throws(() => check(found), OTHERS, JSON.stringify(payload));
    await reset();
  }
  await add(signPayload(Buffer.from(JSON.stringify({ critical: { image, type } })), key.privateKey), sig);
  check(await collect());
});

test('an unreadable artifact beside a signature keeps the signature in', async (t) => {
  const { layout, made, key, collect, add, check, sig } = await setUp(t);
  const attestation = artifactOf('text/plain', []);
  await add(attestation, tagOf(made.manifestDigest, 'att'));
  await add(artifactOf('text/plain', [], { subject: { digest: 1 } }));
  await add(signSimple(made.manifestDigest, key), sig);
  await rm(join(layout, 'blobs', 'sha256', attestation.digest.slice(7)));
  await writeFile(join(layout, 'blobs', 'sha256', '0'.repeat(64)), 'damaged');
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
    manifests: IndexEntry[];
  };
  const damaged = { mediaType: MANIFEST_TYPE, digest: `sha256:${'0'.repeat(64)}`, size: 7 };
  const tagged = {
    ...damaged,
    annotations: { 'org.opencontainers.image.ref.name': sig.replace('.sig', '') },
  };
  await writeIndex(layout, [null as unknown as IndexEntry, damaged, tagged, ...index.manifests]);
  const attachments = await collect();
  assert.equal(attachments.artifacts.length, 1);
  assert.equal(attachments.left.length, 2);
  check(attachments);
});

test('a place that fails for one artifact gives the others, and its failure', async (t) => {
  const { layout, made, key, check } = await setUp(t);
  const manifestBytes = await readFile(join(layout, 'blobs', 'sha256', made.manifestDigest.slice(7)));
  const artifact = signSimple(made.manifestDigest, key);
  const failed = new PanamaxError('io', 'the registry answers 503');
  let reads = 0;
  const collectFrom = (source: Partial<ArtifactSource>) =>
    collectAttachments(
      {
        where: 'here',
        limits,
        getManifest: async () => undefined,
        listReferrers: async () => [],
        blobs: { where: 'here', open: async (digest) => [artifact.blobs.get(digest)!] },
        ...source,
      },
      { manifestDigest: made.manifestDigest as Digest, manifestBytes },
      undefined,
    );
  const found = { mediaType: MANIFEST_TYPE, digest: artifact.digest as Digest, bytes: artifact.manifest };
  const tagged = await collectFrom({
    getManifest: async (reference) => (reference.endsWith('.sig') ? found : undefined),
    listReferrers: async () => Promise.reject(failed),
  });
  assert.equal(tagged.failure, failed);
  check(tagged);

  // a list of many artifacts is read up to a bound, signatures first
  const bundle = signBundle(made.manifestDigest, key);
  const others = Array.from({ length: 5000 }, (_, i) => ({
    digest: digestOf(String(i)),
    artifactType: 'application/spdx+json',
  }));
  const flooded = await collectFrom({
    async getManifest(reference) {
      if (reference.endsWith('.sig')) return undefined;
      reads++;
      if (reference !== bundle.digest) return undefined;
      return { mediaType: MANIFEST_TYPE, digest: bundle.digest as Digest, bytes: bundle.manifest };
    },
    listReferrers: async () => [...others, { digest: bundle.digest as Digest, artifactType: BUNDLE_TYPE }],
    blobs: { where: 'here', open: async (digest) => [bundle.blobs.get(digest)!] },
  });
  check(flooded);
  assert.ok(reads < 200, `${reads} reads`);
});

test('documents that repeat one large bundle are verified in bounded time', async (t) => {
  const { made, key, collect, check } = await setUp(t);
  const none = await collect();
  const sig = 'A'.repeat(96);
  const bundle = Buffer.from(
    JSON.stringify({
      dsseEnvelope: {
        payloadType: 'application/vnd.in-toto+json',
        payload: '',
        signatures: Array.from({ length: 9000 }, () => ({ sig })),
      },
    }),
  );
  const layer = [{ mediaType: BUNDLE_TYPE }, bundle] as const;
  const one = artifactOf('text/plain', [layer]);
  const few = String(
    artifactOf(
      'text/plain',
      Array.from({ length: 60 }, () => layer),
    ).manifest,
  );
  const { layers } = JSON.parse(few) as { layers: unknown[] };
  const config = JSON.stringify(layers[0]);
  const many = `{"config":${config},"layers":[${`${config},`.repeat(3000)}${config}]}`;
  const artifacts = Array.from({ length: 32 }, (_, i) => {
    const document = `${i < 30 ? many : few}${' '.repeat(i)}`;
    const facts = { subject: none.target, mediaType: MANIFEST_TYPE };
    return { ...facts, digest: digestOf(document), document };
  });
  const hostile = { ...none, artifacts, blobs: one.blobs as ReadonlyMap<Digest, Buffer> };
  const started = process.cpuUsage();
  assert.throws(() => check(hostile), refused(/^no cosign signature .*found 257 signatures/));
  const { user } = process.cpuUsage(started);
  // one parse of each document, and of the bundle, not 90,000
  assert.ok(user < 5_000_000, `${user} us`);
  const store = () => parseAttachments(serializeAttachments(hostile), none.target, 'here');
  assert.throws(store, { kind: 'limit', message: /^artifact is too large: expected at most 8388608 bytes/ });
  const large = { ...none, blobs: new Map([[digestOf(LARGE), LARGE]]) };
  assert.throws(() => parseAttachments(serializeAttachments(large), none.target, 'here'), { kind: 'limit' });
  check({ ...none, ...signBundleOf(made.manifestDigest, none, key) });
});

test('a bundle among the referrers is accepted if it signs the image, not if it attests to it', async (t) => {
  const { made, key, collect, add, check } = await setUp(t);
  await add(signBundle(made.manifestDigest, key, 'https://spdx.dev/Document'));
  const attested = await collect();
  assert.equal(attested.artifacts.length, 1);
  assert.throws(() => check(attested), OTHERS);
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
  const sealed = serializeAttachments(attachments);
  // from an attacker with access to the store, or of another version
  const text = JSON.stringify(JSON.parse(String(unsealed(sealed))), null, 2);
  const parse = (changed: string) => parseAttachments(Buffer.from(changed), attachments.target, 'here');
  parse(text);
  const base64 = /"base64": "(\w{8})/.exec(text)![1]!;
  for (const changed of [
    text.replace(base64, 'AAAAAAAA'),
    text.replace('simplesigning', 'simplesigninh'),
    text.replace('schemaVersion', 'schemaversion'),
    text.replace('"version": 1', '"version": 2'),
    String(sealed).replace('.sig"', '.att"'),
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
  const large = artifactOf('application/vnd.oci.empty.v1+json', [[{ mediaType: 'text/plain' }, LARGE]]);
  await add(large, tagOf(made.manifestDigest, 'sbom'));
  const { artifacts, left } = await collect();
  assert.deepEqual(artifacts, []);
  assert.equal(left[0]!.digest, large.digest);
  assert.match(left[0]!.why, /^artifact is too large: expected at most 1048576 bytes/);
});

test('a key of another kind, or a private one, is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'key');
  await writeFile(path, makeCosignKey().privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(readCosignKeys([path]), { kind: 'usage', message: /^key cannot be read/ });
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  await writeFile(path, publicKey.export({ type: 'spki', format: 'pem' }));
  await assert.rejects(readCosignKeys([path]), { kind: 'usage', message: /^key of another kind/ });
});

test(
  "sigstore's library verifies the signatures of the tests, and its own are accepted",
  { skip },
  async (t) => {
    const { directory, made, key, collect, add, reset, check, sig } = await setUp(t);
    const at = (name: string) => join(directory, name);
    const simple = signSimple(made.manifestDigest, key);
    const [signed] = (JSON.parse(String(simple.manifest)) as SimpleManifest).layers;
    await writeFile(at('payload'), simple.blobs.get(signed!.digest)!);
    const value = signed!.annotations['dev.cosignproject.cosign/signature']!;
    await writeFile(at('signature'), Buffer.from(value, 'base64'));
    assert.equal(
      (await judge('verify', at('cosign.pub'), at('payload'), at('signature'))).trim(),
      made.manifestDigest,
    );
    const bundle = signBundle(made.manifestDigest, key);
    const { dsseEnvelope } = JSON.parse(String([...bundle.blobs.values()][1])) as { dsseEnvelope: object };
    await writeFile(at('envelope'), JSON.stringify(dsseEnvelope));
    const statement = JSON.parse(await judge('envelope', at('cosign.pub'), at('envelope'))) as {
      predicateType: string;
    };
    assert.equal(statement.predicateType, 'https://sigstore.dev/cosign/sign/v1');

    // the other way round, with a key file that the library has written
    await judge('sign', directory, made.manifestDigest);
    const verify = await readCosignKeys([at('cosign.pub')]);
    const signature = (await readFile(at('signature'))).toString('base64');
    await add(simpleArtifact([[signature, await readFile(at('payload'))]]), sig);
    const simpleFound = await collect();
    assert.throws(() => check(simpleFound), NONE);
    verify(simpleFound, 'here');
    await reset();
    const envelope = JSON.parse(await readFile(at('envelope'), 'utf8')) as object;
    await add(bundleArtifact(made.manifestDigest, envelope));
    const bundleFound = await collect();
    assert.deepEqual(
      bundleFound.artifacts.map(({ tag }) => tag),
      [undefined],
    );
    verify(bundleFound, 'here');
  },
);

/** @returns the program's output */
async function judge(...args: readonly string[]): Promise<string> {
  return (await execute(findProgram('cosign-judge')!, args)).stdout;
}

interface SimpleManifest {
  readonly layers: readonly {
    readonly digest: string;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

function signBundleOf(digest: string, { target }: Attachments, key = makeCosignKey()) {
  const made = signBundle(digest, key);
  const artifact = {
    subject: target,
    artifactType: BUNDLE_TYPE,
    mediaType: MANIFEST_TYPE,
    digest: made.digest as Digest,
    document: String(made.manifest),
  };
  return { artifacts: [artifact], blobs: made.blobs as ReadonlyMap<Digest, Buffer> };
}
