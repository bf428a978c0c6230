/**
 * Demonstration with real releases. Builds images of three releases of TypeScript over a common base, makes patches between
 * them, and applies one. Needs Node and npm.
 *
 *     npm run demo [-- --keep DIR]      keeps images, store and patch in DIR, which must be new or empty
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildImage, fetchRelease } from './npmimage.ts';

const BASE = 'undici@6.20.0';
const RELEASES = ['typescript@5.6.2', 'typescript@5.6.3', 'typescript@5.7.2'];
const FIRST_BUILD = Date.UTC(2026, 0, 5);
const BETWEEN_BUILDS = 14 * 24 * 3600 * 1000;

const { keep } = parseArgs({ options: { keep: { type: 'string' } } }).values;
const work = keep === undefined ? await mkdtemp(join(tmpdir(), 'panamax-demo-')) : await emptyDirectory(keep);
try {
  console.log(`Building images of ${RELEASES.join(', ')} over ${BASE} in ${work}`);
  const [base, ...releases] = await Promise.all([BASE, ...RELEASES].map((name) => fetchRelease(name, work)));
  const names = RELEASES.map((release) => release.replace('@', '-'));
  await Promise.all(
    names.map((name, i) =>
      buildImage(join(work, name), [base!, releases[i]!], new Date(FIRST_BUILD + i * BETWEEN_BUILDS)),
    ),
  );
  const [first, second, third] = names.map((name) => `oci:${name}`) as [string, string, string];
  say('Patches between all releases, each from the best earlier one, into a store:');
  await panamax('backfill', first, second, third, '--store', 'store');
  say('One patch into a file:');
  await panamax('diff', first, second, '-o', 'patch');
  say('At a site that has the first release, the patch rebuilds the second one:');
  await panamax('apply', 'patch', '--source', first, '--output', 'oci:rebuilt');
  say('The rebuilt image and the original: one manifest, so one image, byte for byte.');
  await panamax('inspect', 'oci:rebuilt');
  await panamax('inspect', second);
  if (keep !== undefined) say(`Images, store and patch are in ${work}.`);
} finally {
  if (keep === undefined) await rm(work, { recursive: true, force: true });
}

async function emptyDirectory(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  if ((await readdir(path)).length > 0) throw new Error(`${path} is not empty`);
  return resolve(path);
}

function say(text: string): void {
  console.log(`\n${text}`);
}

async function panamax(...args: string[]): Promise<void> {
  console.log(`$ panamax ${args.join(' ')}`);
  const program = join(import.meta.dirname, '..', 'bin', 'panamax.ts');
  const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit', cwd: work });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`panamax ${args[0]} ended with code ${code}`);
}
