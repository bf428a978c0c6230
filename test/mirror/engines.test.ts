/** Engines of a site that pull through a mirror, with the configuration that the mirror prints. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOf, writeLayout, type Layout } from '../support/layout.ts';
import {
  CRI_JUDGE,
  CRI_PROGRAMS,
  criOf,
  MIRROR_ENGINES,
  type Judge,
  type Puller,
  type Start,
} from '../support/mirrorengines.ts';
import { makeMirrorSite, patchTo, upstreamBlobs, type MirrorSite } from '../support/mirrorsite.ts';
import { findProgram, missing, notRoot } from '../support/programs.ts';
import { releaseLayers } from '../support/releases.ts';
import { fileScope } from '../support/scope.ts';
import { SITE_ENGINES } from '../support/siteengines.ts';
import { NAME } from '../support/sitestore.ts';
import { writeTar } from '../support/tar.ts';

const run = promisify(execFile);

const scope = fileScope();
let shared: Promise<MirrorSite> | undefined;

/** A release that a container can run. */
function writeRunnable(layout: string, release: number): Promise<Layout> {
  const program = { path: 'bin/busybox', content: readFileSync(findProgram('busybox')!), mode: 0o755 };
  const layers = [writeTar([{ path: 'bin/' }, { ...program, mtime: release }]), ...releaseLayers(1, release)];
  return writeLayout(layout, layers, { compression: ['none', 'gzip', 'gzip'] });
}

/** One mirror for all engines. */
const getSite = () => (shared ??= makeMirrorSite(scope, { writeImage: writeRunnable }));

/** A mirror that holds nothing. */
async function emptySite(): Promise<MirrorSite> {
  const made = await getSite();
  await made.mirror.stop();
  await rm(join(made.directory, 'mirror'), { recursive: true });
  await made.mirror.start();
  return made;
}

/** Asserts that the second release came by its patch since a number of requests and of bytes. */
async function assertPatchOnly(made: MirrorSite, since: number, moved: number): Promise<void> {
  assert.deepEqual(upstreamBlobs(made, since), []);
  const { size } = await stat(await patchTo(made, 2));
  assert.ok(made.moved - moved <= size + 20_000, `${made.moved - moved} bytes for a patch of ${size}`);
}

interface Case {
  readonly engine: string;
  readonly programs: readonly string[];
  readonly judge: Judge;
  readonly start: Start;
}

const CASES: readonly Case[] = [
  ...Object.entries(MIRROR_ENGINES).map(([engine, { transport, start }]) => {
    const judge = SITE_ENGINES[transport];
    return { engine, programs: judge.programs, judge, start };
  }),
  ...CRI_PROGRAMS.map((program) => ({
    engine: `CRI of ${program}`,
    programs: [program, 'cri-judge'],
    judge: CRI_JUDGE,
    start: criOf(program),
  })),
];

for (const { engine, programs, judge, start } of CASES) {
  const needed = ['docker-registry', 'skopeo', 'busybox', ...programs];
  describe(`${engine} through a mirror`, { skip: notRoot() || missing(...needed) }, () => {
    let puller: Puller;
    let made: MirrorSite;
    before(async () => {
      made = await emptySite();
      puller = await start(scope, { ...made, repository: NAME });
    });

    test('pulls the first release, then a patch only for the second one', async () => {
      const { user, name } = puller;
      const [first, second] = made.images;
      await puller.pull(`${name}:1`);
      assert.equal(await judge.imageID(user, `${name}:1`), first!.configDigest);
      const since = made.front.seen.length;
      const { moved } = made;
      await puller.pull(`${name}:2`);
      await assertPatchOnly(made, since, moved);
      assert.equal(await judge.imageID(user, `${name}:2`), second!.configDigest);
      if (judge.manifest) assert.equal(await judge.manifest(user, `${name}:2`), second!.manifestDigest);
      if (judge.run) {
        const said = await judge.run(user, `${name}:2`, '/bin/busybox', 'sha256sum', '/bin/busybox');
        assert.equal(said.split(' ')[0], digestOf(readFileSync(findProgram('busybox')!)).slice(7));
      }
      await judge.remove(user, `${name}:2`);
      const pinned = `${name}@${second!.manifestDigest}`;
      await (puller.pullStrictly ?? puller.pull)(pinned);
      assert.equal(await judge.imageID(user, pinned), second!.configDigest);
    });
  });
}

describe('crane through a mirror', { skip: missing('docker-registry', 'skopeo', 'busybox', 'crane') }, () => {
  test('pulls the first release, then a patch only for the second one', async () => {
    const made = await emptySite();
    const [first, second] = made.images;
    const pull = async (reference: string): Promise<string> => {
      const layout = await temporaryDirectory(scope);
      await run(findProgram('crane')!, ['pull', '--format', 'oci', `${made.name}${reference}`, layout]);
      const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
        manifests: { digest: string }[];
      };
      return index.manifests.map(({ digest }) => digest).join();
    };
    assert.equal(await pull(':1'), first!.manifestDigest);
    const since = made.front.seen.length;
    const { moved } = made;
    assert.equal(await pull(':2'), second!.manifestDigest);
    await assertPatchOnly(made, since, moved);
    assert.equal(await pull(`@${second!.manifestDigest}`), second!.manifestDigest);
  });
});
