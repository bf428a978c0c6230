import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildImage, fetchRelease } from './npmimage.ts';

/**
 * Demonstration with real releases. Builds images of three releases of TypeScript over a common base, makes patches between
 * them, and applies one. Needs Node and npm.
 */
const BASE = 'npm@10.9.0';
const RELEASES = ['typescript@5.6.2', 'typescript@5.6.3', 'typescript@5.7.2'];
const FIRST_BUILD = Date.UTC(2026, 0, 5);
const BETWEEN_BUILDS = 14 * 24 * 3600 * 1000;

const work = await mkdtemp(join(tmpdir(), 'panamax-demo-'));
try {
  console.log(`Building images of ${RELEASES.join(', ')} over ${BASE} in ${work}`);
  const base = await fetchRelease(BASE, work);
  const images: string[] = [];
  for (const [i, release] of RELEASES.entries()) {
    const image = release.replace('@', '-');
    const layers = [base, await fetchRelease(release, work)];
    await buildImage(join(work, image), layers, new Date(FIRST_BUILD + i * BETWEEN_BUILDS));
    images.push(`oci:${image}`);
  }
  const [first, second] = images;
  await panamax('backfill', ...images, '--store', 'store');
  await panamax('diff', first!, second!, '-o', 'patch');
  await panamax('apply', 'patch', '--source', first!, '--output', 'oci:rebuilt');
  await panamax('inspect', 'oci:rebuilt');
  await panamax('inspect', second!);
} finally {
  await rm(work, { recursive: true, force: true });
}

async function panamax(...args: string[]): Promise<void> {
  console.log(`\n$ panamax ${args.join(' ')}`);
  const program = join(import.meta.dirname, '..', 'bin', 'panamax.ts');
  const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit', cwd: work });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`panamax ${args[0]} ended with code ${code}`);
}
