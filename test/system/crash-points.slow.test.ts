/**
 * Commands that change a store, an image or a registry are killed, or get an error, at a call that changes a file. Each
 * object is then the old or the new one, and a second start ends as an undisturbed run.
 *
 * A run tries some points of each command, evenly spread. `npm run crash-points` tries all.
 */
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { EXIT_CODES } from '../../lib/errors.ts';
import { checkStore } from '../../lib/retention/check.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { smallLayers } from '../fuzz/samples.ts';
import { buildCrashShim, panamaxAt, type CrashAction } from '../support/crashpoints.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOf, writeLayout, type Layout } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { pushLayout, taggedReferrers } from '../support/pushlayout.ts';
import { startRegistry } from '../support/registry.ts';
import { fileScope } from '../support/scope.ts';

/** Points of each command and action in a short run. */
const SAMPLE = 2;
const ALL = process.env['CRASH_POINTS'] === 'all';
const NAME = 'registry.example/team/app';
const SCRATCH = ['--scratch', 'scratch'];
const STORE = ['--store', 'store'];
const PLATFORM = ['--platform', 'linux/amd64'];

interface Scenario {
  readonly args: readonly string[];
  /** Parts of the template that are there at the start. */
  readonly parts: readonly string[];
}

const backfill = [
  'backfill',
  '--sources',
  '1',
  '--format',
  'xdelta',
  '--effort',
  'fast',
  ...STORE,
  ...SCRATCH,
];
const rebuilt = ['--source', '1', '--output', 'oci:out:new'];

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  backfill: { args: [...backfill, '2'], parts: ['1', '2'] },
  tag: { args: ['tag', `${NAME}:4`, '2', ...STORE, ...SCRATCH], parts: ['2', 'store'] },
  apply: { args: ['apply', 'patch', ...rebuilt, ...SCRATCH], parts: ['1', 'patch', 'out'] },
  pull: {
    args: [
      'pull',
      `${NAME}:2`,
      '--engine',
      'none',
      ...PLATFORM,
      '--state',
      'state',
      ...rebuilt,
      ...STORE,
      ...SCRATCH,
    ],
    parts: ['1', 'store', 'out'],
  },
  gc: {
    args: ['gc', '--keep-last', '1', '--unnamed', '--grace', '0', '--keep-runs', '0', '--apply', ...STORE],
    parts: ['store'],
  },
};

const scope = fileScope();
const skip = missing('cc');
let library: string;
let template: string;
/** Of release 2. */
let image: Layout;

before(async () => {
  if (skip) return;
  const directory = await temporaryDirectory(scope);
  library = buildCrashShim(directory);
  template = join(directory, 'template');
  await mkdir(template);
  for (const release of [1, 2, 3]) {
    const made = await writeLayout(join(template, `${release}`), smallLayers(release), {
      compression: 'none',
    });
    if (release === 2) image = made;
  }
  await cp(join(template, '1'), join(template, 'out'), { recursive: true });
  await run(template, [...backfill, '2', '3']);
  for (const release of [2, 3]) {
    await run(template, ['tag', `${NAME}:${release}`, `${release}`, ...STORE, ...SCRATCH]);
  }
  const patches = join(template, 'store', 'patches');
  const patch = (await readdir(patches, { recursive: true })).find((path) => path.endsWith('.xdelta'))!;
  await cp(join(patches, patch), join(template, 'patch'));
});

/** @returns the number of calls that change files */
async function run(directory: string, args: readonly string[]): Promise<number> {
  const { code, stderr, count } = await panamaxAt(library, directory, args);
  assert.equal(code, 0, stderr);
  return count!;
}

/** Replaces a directory by these parts of the template. */
async function fresh(directory: string, parts: readonly string[]): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  for (const part of parts) await cp(join(template, part), join(directory, part), { recursive: true });
}

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  describe(`${name} at a call that changes a file`, { skip }, () => {
    /** Of an undisturbed run: the objects before and after it, and the number of its calls. */
    let old: Objects;
    let done: Objects;
    let count: number;

    before(async () => {
      const untroubled = join(await temporaryDirectory(scope), 'untroubled');
      await fresh(untroubled, scenario.parts);
      old = await objectsOf(untroubled);
      count = await run(untroubled, scenario.args);
      done = await objectsOf(untroubled);
    });

    for (const [action, offset] of [
      ['kill', 0],
      ['EIO', 1],
      ['ENOSPC', 2],
    ] as const) {
      test(action === 'kill' ? 'is killed' : `gets ${action}`, async (t) => {
        const trial = await temporaryDirectory(t);
        const points = ALL ? allPoints(count).filter(isTurnOf(action)) : spread(count, offset);
        for (const number of points) {
          const directory = join(trial, 'troubled');
          await fresh(directory, scenario.parts);
          await crash(directory, scenario, { number, action }, old, done);
        }
        t.diagnostic(`${points.length} of ${count} points`);
      });
    }
  });
}

describe(
  'publish at a call that changes a file or sends',
  { skip: skip || missing('docker-registry') },
  () => {
    test('is killed, or gets EIO', async (t) => {
      const { host } = await startRegistry(t);
      const directory = await temporaryDirectory(t);
      await cp(join(template, 'store'), join(directory, 'store'), { recursive: true });
      let repositories = 0;

      /** Publishes to a new repository that has the image. */
      async function prepare() {
        const path = `team/app-${++repositories}`;
        const repository = `http://${host}/v2/${path}`;
        await pushLayout(repository, '2', join(template, '2'), image);
        const options = ['--insecure-registry', host, ...PLATFORM, ...STORE, ...SCRATCH];
        return { repository, args: ['publish', `docker://${host}/${path}:2`, ...options] };
      }

      const untroubled = await prepare();
      const count = await run(directory, untroubled.args);
      const done = await taggedReferrers(untroubled.repository, image.manifestDigest);
      assert.ok(done.length > 0);
      for (const [action, offset] of [
        ['kill', 0],
        ['EIO', 1],
      ] as const) {
        const points = ALL ? allPoints(count) : spread(count, offset);
        for (const number of points) {
          const { repository, args } = await prepare();
          const { code, stderr } = await panamaxAt(library, directory, args, { number, action });
          const where = `${action} at call ${number}: ${stderr}`;
          const codes = action === 'kill' ? [null, 0] : [0, EXIT_CODES.io];
          assert.ok(codes.includes(code), `exit ${code}, ${where}`);
          const found = await taggedReferrers(repository, image.manifestDigest);
          assert.ok(
            found.every((digest) => done.includes(digest)),
            where,
          );
          if (code === 0) assert.deepEqual(found, done, where);
          await run(directory, args);
          assert.deepEqual(await taggedReferrers(repository, image.manifestDigest), done, where);
          assert.deepEqual(Object.keys(await objectsOf(directory)).filter(isTemporary), [], where);
        }
        t.diagnostic(`${action}: ${points.length} of ${count} points`);
      }
    });
  },
);

function allPoints(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** All points for kills; the two errors take turns. */
function isTurnOf(action: CrashAction): (point: number) => boolean {
  return (point) => action === 'kill' || (point % 2 === 0) === (action === 'ENOSPC');
}

function spread(count: number, offset: number): number[] {
  const step = count / SAMPLE;
  return Array.from({ length: SAMPLE }, (_, i) => 1 + Math.floor(step * (i + (offset + 0.5) / 3)));
}

type Objects = Readonly<Record<string, string>>;

async function crash(
  directory: string,
  { args }: Scenario,
  point: { readonly number: number; readonly action: CrashAction },
  old: Objects,
  done: Objects,
): Promise<void> {
  const { code, stderr } = await panamaxAt(library, directory, args, point);
  const where = `${point.action} at call ${point.number}: ${stderr}`;
  if (point.action === 'kill') assert.ok(code === null || code === 0, where);
  else assert.ok([0, EXIT_CODES.io, EXIT_CODES.partial].includes(code as 0), `exit ${code}, ${where}`);

  // old or new, object by object
  for (const [path, digest] of Object.entries(await objectsOf(directory))) {
    if (isTemporary(path)) continue;
    assert.ok(digest === old[path] || digest === done[path], `${path} is neither old nor new, ${where}`);
  }
  if (code === 0) assert.deepEqual(withoutTemporary(await objectsOf(directory)), done, where);
  await assertSoundStore(directory, where);

  // a second start
  const again = await panamaxAt(library, directory, args);
  assert.equal(again.code, 0, `second start: ${again.stderr}, ${where}`);
  assert.deepEqual(await objectsOf(directory), done, `second start after ${where}`);
}

/** Nothing damaged, and nothing that names a missing object. */
async function assertSoundStore(directory: string, where: string): Promise<void> {
  const path = join(directory, 'store');
  if (!(await readdir(directory)).includes('store')) return;
  const { signal } = new AbortController();
  const { faults } = await checkStore(await openDirectoryStore(path), { readData: true, signal });
  // the index is made last, and names outlive it
  const found = faults.filter(({ kind, key }) => kind !== 'missing' || !key.startsWith('index/'));
  assert.deepEqual(found, [], where);
}

/**
 * Digests of all files but records of runs, which have times. Sequences of names are times, too, and change the
 * checksums of their documents.
 */
async function objectsOf(directory: string): Promise<Objects> {
  const objects: Record<string, string> = {};
  for (const item of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath, item.name).slice(directory.length + 1);
    if (!item.isFile() || path.startsWith('store/runs/')) continue;
    const bytes = await readFile(join(directory, path));
    if (!path.startsWith('store/names/')) objects[path] = digestOf(bytes);
    else {
      const document = bytes.toString().replace(/"(sequence|checksum)": ("\w+"|\d+)/g, '');
      objects[path.replace(/\d{16}/, 'SEQUENCE')] = digestOf(Buffer.from(document));
    }
  }
  return objects;
}

/** Files that a killed process leaves, and the next start removes. */
function isTemporary(path: string): boolean {
  return path.startsWith('scratch/') || path.startsWith('store/.tmp/') || /\.part(\/|$)/.test(path);
}

function withoutTemporary(objects: Objects): Objects {
  return Object.fromEntries(Object.entries(objects).filter(([path]) => !isTemporary(path)));
}
