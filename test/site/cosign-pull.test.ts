/** Signatures of cosign come to sites with the patches, and decide whether an image is accepted. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { PullOutcome } from '../../lib/site/site.ts';
import { addToLayout, makeCosignKey, pushArtifact, signSimple } from '../support/cosign.ts';
import { panamaxFails, panamaxJson } from '../support/commands.ts';
import { missing } from '../support/programs.ts';
import { startRegistry } from '../support/registry.ts';
import { unsealed } from '../support/unsealed.ts';
import { makeSiteStore, NAME, type SiteStore } from '../support/sitestore.ts';

async function setUp(_: TestContext, { directory, images, site }: SiteStore) {
  const path = (name: string) => join(directory, name);
  const [key, other] = [makeCosignKey(), makeCosignKey()];
  await writeFile(path('cosign.pub'), key.publicKey);
  await writeFile(path('other.pub'), other.publicKey);
  const { manifestDigest } = images[1]!;
  return {
    path,
    tag: `${manifestDigest.replace(':', '-')}.sig`,
    artifact: signSimple(manifestDigest, key),
    options: ['--engine', 'none', '--source', `oci:${path('1')}`, ...site],
    trusted: ['--cosign-key', path('cosign.pub')],
    untrusted: ['--cosign-key', path('other.pub')],
  };
}

const COPY = ['--insecure-policy', 'copy', '-q', '--preserve-digests', '--dest-tls-verify=false'];
const copyImage = async (from: string, to: string) => promisify(execFile)('skopeo', [...COPY, from, to]);
const REFUSED = /no trusted cosign key has signed the image of /;

test('a site accepts an image of the store that is signed with cosign, and no other', async (t) => {
  const made = await makeSiteStore(t);
  const { path, tag, artifact, options, trusted, untrusted } = await setUp(t, made);
  const pull = ['pull', `${NAME}:2`, '--store', made.store, ...options];
  const out = ['--output', `oci:${path('out')}`];
  await panamaxFails('untrusted', REFUSED, ...pull, ...out, ...trusted);

  // images are signed after they were read: the next run finds the signature
  await addToLayout(path('2'), artifact, tag);
  const images = ['1', '2'].map((release) => `oci:${path(release)}:latest`);
  const settings = ['--store', made.store, '--scratch', path('scratch'), '--effort', 'fast', '--top', '2'];
  await panamaxJson('backfill', ...images, ...settings);
  await panamaxFails('untrusted', REFUSED, ...pull, ...out, ...untrusted);
  await panamaxFails('untrusted', REFUSED, 'pull', `${NAME}:1`, ...pull.slice(2), ...out, ...trusted);
  await assert.rejects(readdir(path('out')), { code: 'ENOENT' });

  // one of two keys suffices; the signature is in the layout with the image
  const outcome = await panamaxJson<PullOutcome>(...pull, ...out, ...untrusted, ...trusted);
  assert.equal(outcome.method, 'patch');
  assert.equal(outcome.attached, 1);
  const index = await readFile(join(path('out'), 'index.json'), 'utf8');
  for (const digest of [artifact.digest, made.images[1]!.manifestDigest]) assert.ok(index.includes(digest));
  // the artifacts beside it leave the image the only one of the layout
  const inspected = await panamaxJson<{ manifest: string }>('inspect', `oci:${path('out')}`);
  assert.equal(inspected.manifest, made.images[1]!.manifestDigest);
  const archive = ['--output', `oci-archive:${path('out.tar')}`, '--referrers', path('referrers')];
  await panamaxJson(...pull, ...archive, ...trusted);
  for (const [digest, bytes] of [...artifact.blobs, [artifact.digest, artifact.manifest] as const]) {
    assert.deepEqual(await readFile(join(path('referrers'), 'blobs', 'sha256', digest.slice(7))), bytes);
  }

  // a bundle has it, too
  await panamaxJson('bundle', `${NAME}:2`, '--store', made.store, '--output', path('bundle.tar'));
  const offline = ['pull', `${NAME}:2`, '--store', path('bundle.tar'), ...options];
  await panamaxJson(...offline, '--output', `oci-archive:${path('offline.tar')}`, ...trusted);

  // somebody with access to the store moves the signature to another image
  const attachments = join(made.store, 'attachments');
  const [stored] = await readdir(attachments);
  const text = await readFile(join(attachments, stored!), 'utf8');
  const first = made.images[0]!.manifestDigest;
  const forged = text.replaceAll(made.images[1]!.manifestDigest, first);
  await writeFile(join(attachments, `${first.replace(':', '-')}.json`), unsealed(Buffer.from(forged)));
  const digest = `${NAME.replace(/:\d+$/, '')}@${first}`;
  await panamaxFails('untrusted', REFUSED, 'pull', digest, ...pull.slice(2), ...out, ...trusted);
});

test(
  'a signature beside an image in its registry is read there, and carried by the store',
  { skip: missing('docker-registry', 'skopeo') },
  async (t) => {
    const registry = await startRegistry(t);
    const made = await makeSiteStore(t);
    const { path, tag, artifact, options, trusted } = await setUp(t, made);
    const insecure = ['--insecure-registry', registry.host];
    const name = `${registry.host}/team/app`;
    await copyImage(`oci:${path('2')}`, `docker://${name}:2`);
    const ours = ['--store', made.store, '--scratch', path('scratch'), ...insecure];
    await panamaxJson('publish', `docker://${name}:2`, ...ours);
    const pull = ['pull', `${name}:2`, ...options, ...insecure];
    const archive = (name: string) => ['--output', `oci-archive:${path(name)}`];
    await panamaxFails('untrusted', REFUSED, ...pull, ...archive('a.tar'), ...trusted);
    await pushArtifact(registry.host, 'team/app', artifact, tag);
    const outcome = await panamaxJson<PullOutcome>(...pull, ...archive('a.tar'), ...trusted);
    assert.equal(outcome.method, 'patch');

    // the store carries it to a site that does not reach the registry
    await panamaxJson('backfill', `docker://${name}:2`, '--effort', 'fast', '--top', '2', ...ours);
    const digest = `127.0.0.1:1/team/app@${made.images[1]!.manifestDigest}`;
    const away = ['pull', digest, '--store', made.store, ...options];
    const referrers = ['--referrers', path('referrers')];
    await panamaxJson(...away, ...archive('b.tar'), ...trusted, ...referrers);
    // from there into the registry of the site
    const target = `docker://${registry.host}/site/app:${tag}`;
    await copyImage(`oci:${path('referrers')}:${tag}`, target);
    const found = await fetch(`http://${registry.host}/v2/site/app/manifests/${tag}`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    assert.deepEqual(Buffer.from(await found.arrayBuffer()), artifact.manifest);
  },
);
