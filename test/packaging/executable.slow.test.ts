/** The bundle and the single executable work without node_modules and with an empty environment. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryDirectory } from '../support/directory.ts';
import type { RunReport } from '../../lib/run/report.ts';
import { panamax } from '../support/panamax.ts';
import { missing, notRoot } from '../support/programs.ts';
import { writeRelease } from '../support/releases.ts';

const PACKAGING = join(import.meta.dirname, '../../packaging');

/** Runs a script of packaging/, which writes below the directory. */
function pack(directory: string, script: string): void {
  const options = { cwd: directory, encoding: 'utf8' } as const;
  const { status, stderr } = spawnSync(process.execPath, [join(PACKAGING, script)], options);
  assert.equal(status, 0, stderr);
}

/** Runs a program of a package with an empty environment. @returns its standard output */
function run(directory: string, program: readonly string[], ...args: readonly string[]): string {
  const [command, ...first] = program;
  const scratch = ['--scratch', join(directory, 'scratch')];
  const isPlain = args[0] === '--version';
  const { status, stdout, stderr } = spawnSync(command!, [...first, ...args, ...(isPlain ? [] : scratch)], {
    encoding: 'utf8',
    env: {},
    cwd: directory,
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** A patch between two images has the bytes that a checkout makes, and is applied. */
async function makesSamePatch(t: TestContext, program: (directory: string) => Promise<readonly string[]>) {
  const directory = await temporaryDirectory(t);
  for (const release of [1, 2]) await writeRelease(join(directory, String(release)), 1, release);
  const command = await program(directory);
  assert.match(run(directory, command, '--version'), /^panamax \d/);
  run(directory, command, 'diff', 'oci:1', 'oci:2', '-o', 'patch');
  run(directory, command, 'apply', 'patch', '-s', 'oci:1', '-o', 'oci:rebuilt');
  const expected = join(directory, 'expected');
  const made = await panamax('diff', join(directory, '1'), join(directory, '2'), '-o', expected);
  assert.equal(made.code, 0, made.stderr);
  assert.ok((await readFile(join(directory, 'patch'))).equals(await readFile(expected)));
  const index = async (image: string) =>
    (
      JSON.parse(await readFile(join(directory, image, 'index.json'), 'utf8')) as {
        manifests: { digest: string }[];
      }
    ).manifests[0]!.digest;
  assert.equal(await index('rebuilt'), await index('2'));

  // signatures, rankings, and patches of every format
  const options = ['--sources', 'oci:1', '--format', 'all', '--store', 'store', '--json'];
  const report = JSON.parse(run(directory, command, 'backfill', 'oci:2', ...options)) as RunReport;
  assert.equal(report.pairs[0]!.status, 'done', JSON.stringify(report));
}

describe('makes the patch of a checkout and applies it', () => {
  test('as a bundle', (t) =>
    makesSamePatch(t, async (directory) => {
      pack(directory, 'bundle.ts');
      return [process.execPath, join(directory, 'bundle', 'panamax.js')];
    }));

  test('as a single executable out of a Debian package', { skip: missing('dpkg-deb') }, (t) =>
    makesSamePatch(t, async (directory) => {
      pack(directory, 'deb.ts');
      const [deb] = globSync('packages/*.deb', { cwd: directory });
      const { status, stderr } = spawnSync('dpkg-deb', ['--extract', deb!, 'root'], { cwd: directory });
      assert.equal(status, 0, String(stderr));
      const files = globSync('root/**/*', { cwd: directory });
      for (const path of ['lib/systemd/system/panamax-mirror.service', 'share/man/man1/panamax-pull.1.gz']) {
        assert.ok(files.includes(`root/usr/${path}`), path);
      }
      return [join(directory, 'root/usr/bin/panamax')];
    }),
  );
});

function digestIn(text: string): string | undefined {
  return /sha256:[0-9a-f]{64}/.exec(text)?.[0];
}

test(
  'the root of the image for sites applies a patch as a user of no rights, and has no other commands',
  { skip: missing('chroot', 'ldd') || notRoot() },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const root = join(directory, 'site');
    const { status, stderr } = spawnSync(process.execPath, [join(PACKAGING, 'siteroot.ts'), root]);
    assert.equal(status, 0, String(stderr));
    const files = ['1', '2'].map((name) => join(root, 'state', name));
    for (const [i, path] of files.entries()) await writeRelease(path, 1, i + 1);
    const made = await panamax('diff', files[0]!, files[1]!, '-o', join(root, 'state/patch'));
    assert.equal(made.code, 0, made.stderr);
    // the image's user owns nothing there, and writes where everybody may
    const inside = (...args: readonly string[]) =>
      spawnSync('chroot', ['--userspec=65532:65532', root, '/usr/bin/panamax', ...args], {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'] },
      });
    const applied = inside(
      'apply',
      '/state/patch',
      '-s',
      'oci:/state/1',
      '-o',
      'oci:/state/new',
      '--scratch',
      '/tmp',
    );
    assert.equal(applied.status, 0, applied.stderr);
    const index = (image: string) => readFile(join(root, 'state', image, 'index.json'), 'utf8');
    assert.equal(digestIn(await index('new')), digestIn(await index('2')));
    assert.match(inside('--help').stdout, /^  pull /m);
    assert.equal(inside('backfill').status, 2);
    assert.ok((await stat(join(root, 'usr/bin/panamax'))).size < 140e6);
  },
);
