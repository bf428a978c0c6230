/** Engines of a site that pull through a mirror, with the configuration that the mirror prints. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { MIRROR_ENGINES, type Puller } from '../support/mirrorengines.ts';
import { makeMirrorSite, upstreamBlobs, type MirrorSite } from '../support/mirrorsite.ts';
import { missing, notRoot } from '../support/programs.ts';
import { fileScope } from '../support/scope.ts';
import { SITE_ENGINES } from '../support/siteengines.ts';
import { NAME } from '../support/sitestore.ts';

const scope = fileScope();
let shared: Promise<MirrorSite> | undefined;

/** One mirror for all engines. */
const getSite = () => (shared ??= makeMirrorSite(scope));

for (const [engine, { transport, ...starter }] of Object.entries(MIRROR_ENGINES)) {
  const programs = ['docker-registry', 'skopeo', ...SITE_ENGINES[transport].programs];
  describe(`${engine} through a mirror`, { skip: notRoot() || missing(...programs) }, () => {
    let puller: Puller;
    let made: MirrorSite;
    before(async () => {
      made = await getSite();
      await made.mirror.stop();
      await rm(join(made.directory, 'mirror'), { recursive: true });
      await made.mirror.start();
      puller = await starter.start(scope, { ...made, repository: NAME });
    });

    test('pulls the first release, then the second one without a blob from the upstream', async () => {
      const judge = SITE_ENGINES[transport];
      const { user, name } = puller;
      const [first, second] = made.images;
      await puller.pull(`${name}:1`);
      assert.equal(await judge.imageID(user, `${name}:1`), first!.configDigest);
      const since = made.front.seen.length;
      await puller.pull(`${name}:2`);
      assert.equal(await judge.imageID(user, `${name}:2`), second!.configDigest);
      if (judge.manifest) assert.equal(await judge.manifest(user, `${name}:2`), second!.manifestDigest);
      assert.deepEqual(upstreamBlobs(made, since), []);
      await judge.remove(user, `${name}:2`);
      const pinned = `${name}@${second!.manifestDigest}`;
      await puller.pull(pinned);
      assert.equal(await judge.imageID(user, pinned), second!.configDigest);
    });
  });
}
