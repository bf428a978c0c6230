/** Full disks and stores that are none: an io error, and nothing half-written stays. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EXIT_CODES } from '../../lib/errors.ts';
import { snapshot, temporaryDirectory } from '../support/directory.ts';
import { panamax, panamaxFails } from '../support/panamax.ts';
import { makePatch } from '../support/patch.ts';
import { missing, unless } from '../support/programs.ts';
import { createRandom } from '../support/random.ts';
import { writeRelease } from '../support/releases.ts';
import { writeLayout } from '../support/layout.ts';
import { writeTar } from '../support/tar.ts';

const MAIN = fileURLToPath(new URL('../../bin/panamax.ts', import.meta.url));
const OWN_MOUNTS = process.getuid?.() === 0 ? ['--mount'] : ['--map-root-user', '--mount'];

/** Runs a shell script with a small disk mounted at $DISK; the mount ends with it. */
function onDisk(disk: string, size: string, script: string): { code: number | null; output: string } {
  const mounted = `mount -t tmpfs -o size=${size} tmpfs "$DISK" || exit 99\n${script}`;
  const { status, stdout, stderr } = spawnSync('unshare', [...OWN_MOUNTS, 'sh', '-c', mounted], {
    env: { ...process.env, DISK: disk, NODE: process.execPath, MAIN, LC_ALL: 'C' },
    encoding: 'utf8',
  });
  return { code: status, output: stdout + stderr };
}

/** For want of rights in some containers; the limit on file sizes below needs none. */
const noMounts = () => unless(onDisk('/mnt', '64k', 'true').code === 0, 'needs the right to mount');

describe('a disk that is full', { skip: missing('unshare', 'mount') || noMounts() }, () => {
  test('while a rebuilt image is written', async (t) => {
    const directory = await temporaryDirectory(t);
    const [disk, source, patch] = ['disk', 'source', 'patch'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    await mkdir(disk);
    await writeRelease(source, 1, 1);
    await writeRelease(join(directory, 'target'), 1, 2);
    await makePatch(source, join(directory, 'target'), patch);
    const scratch = join(directory, 'scratch');
    for (const output of ['oci:$DISK:tag', 'docker-archive:$DISK/new.tar:app:1', 'stream:$DISK/new.stream']) {
      const apply = `"$NODE" "$MAIN" apply ${patch} --source ${source} --scratch ${scratch} --output "${output}"`;
      const full = onDisk(disk, '100k', `${apply}\ncode=$?; find "$DISK" -mindepth 1; exit $code`);
      assert.equal(full.code, EXIT_CODES.io, full.output);
      assert.match(full.output, /^panamax apply: ENOSPC: no space left on device[^\n]*\n$/);
    }
    // the disk itself as a layout
    const fits = onDisk(
      disk,
      '2m',
      `"$NODE" "$MAIN" apply ${patch} --source ${source} --output oci:$DISK:tag &&
      "$NODE" "$MAIN" inspect oci:$DISK:tag`,
    );
    assert.equal(fits.code, 0, fits.output);
    assert.deepEqual(await readdir(scratch), []);
  });

  test('where scratch files or a patch should go', async (t) => {
    const directory = await temporaryDirectory(t);
    const disk = join(directory, 'disk');
    await mkdir(disk);
    const layers = [1, 2].map((seed) =>
      writeTar([{ path: 'noise', content: createRandom(seed).bytes(200_000) }]),
    );
    await writeLayout(join(directory, 'one'), [layers[0]!]);
    await writeLayout(join(directory, 'two'), [layers[1]!]);
    for (const options of ['--scratch $DISK/scratch -o patch', '-o $DISK/patch']) {
      const diff = `cd ${directory}; "$NODE" "$MAIN" diff one two --quiet --effort fast ${options}`;
      const full = onDisk(
        disk,
        '100k',
        `${diff}\ncode=$?; find "$DISK" -mindepth 1 -not -name scratch; exit $code`,
      );
      assert.equal(full.code, EXIT_CODES.io, full.output);
      assert.match(full.output, /^panamax diff: ENOSPC: no space left on device[^\n]*\n$/);
    }
    assert.deepEqual((await readdir(directory)).toSorted(), ['disk', 'one', 'two']);
  });

  test('under the store: when there is space again a second start does the rest', async (t) => {
    const directory = await temporaryDirectory(t);
    const disk = join(directory, 'disk');
    await mkdir(disk);
    for (const release of [1, 2, 3]) await writeRelease(join(directory, String(release)), 1, release);
    const backfill = `"$NODE" "$MAIN" backfill 1 2 3 --effort fast --store $DISK/store --scratch scratch`;
    const { code, output } = onDisk(
      disk,
      '36k',
      `cd ${directory}
      ${backfill} >/dev/null; echo "first $?"; find $DISK/store/.tmp scratch -mindepth 1
      mount -o remount,size=4m tmpfs "$DISK"
      ${backfill} >/dev/null 2>&1; echo "second $?"
      cp -r $DISK/store copy`,
    );
    assert.equal(code, 0, output);
    const first = Number(/^first (\d+)$/m.exec(output)![1]);
    assert.ok(first === EXIT_CODES.partial || first === EXIT_CODES.io, output);
    assert.match(output, /ENOSPC: no space left on device/);
    assert.match(output, /^second 0$/m);
    const untroubled = ['1', '2', '3'].map((name) => join(directory, name));
    const { code: ok } = await panamax(
      'backfill',
      ...untroubled,
      '--effort',
      'fast',
      '--store',
      `${directory}/same`,
    );
    assert.equal(ok, 0);
    const withoutRuns = async (store: string) =>
      Object.entries(await snapshot(join(directory, store))).filter(([path]) => !path.startsWith('runs'));
    assert.deepEqual(await withoutRuns('copy'), await withoutRuns('same'));
  });
});

test('a limit on file sizes', { skip: missing('prlimit') }, async (t) => {
  const directory = await temporaryDirectory(t);
  for (const release of [1, 2]) await writeRelease(join(directory, String(release)), 1, release);
  const scratch = join(directory, 'scratch');
  const before = await snapshot(directory);
  const diff = ['diff', '1', '2', '--quiet', '-o', 'patch', '--scratch', scratch];
  const { status, stderr } = spawnSync('prlimit', ['--fsize=50000', process.execPath, MAIN, ...diff], {
    cwd: directory,
    encoding: 'utf8',
  });
  assert.equal(status, EXIT_CODES.io, stderr);
  assert.match(stderr, /^panamax diff: EFBIG: file too large[^\n]*\n$/);
  assert.deepEqual(await snapshot(directory), { ...before, scratch: 'directory' });
});

test('a store that is none', async (t) => {
  const directory = await temporaryDirectory(t);
  const image = join(directory, 'image');
  await writeRelease(image, 1, 1);
  const file = join(directory, 'file');
  await writeFile(file, 'mine');
  const before = await snapshot(directory);
  await panamaxFails('io', /in store .*file/, 'backfill', image, '--store', file);
  await panamaxFails(
    'io',
    /in store .*file/,
    'rank',
    image,
    '--sources',
    image,
    '--store',
    join(file, 'below'),
  );
  assert.deepEqual(await snapshot(directory), before);
});
