/** Two releases of an application over a base, built by a Docker engine from Debian and npm packages. */
import { appendFile, copyFile, cp, lutimes, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Docker } from './engine.ts';
import { findProgram } from './programs.ts';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const DOCKERFILE = `FROM scratch
COPY base /
COPY app /srv/app
LABEL release=RELEASE
CMD ["/bin/busybox", "cat", "/srv/app/release"]
`;

/**
 * Builds a release from scratch, as CI does: every file has a new mtime, several contain the version, and the second
 * release adds, changes and removes code. No layer is shared. A container prints `release N`.
 */
export async function buildRelease(docker: Docker, directory: string, release: 1 | 2, name: string) {
  const [base, app] = ['base', 'app'].map((part) => join(directory, part)) as [string, string];
  await mkdir(join(base, 'bin'), { recursive: true });
  await copyFile(findProgram('busybox')!, join(base, 'bin', 'busybox'));
  await mkdir(app, { recursive: true });
  for (const library of ['ioredis', 'tar-stream']) {
    await cp(join(MODULES, library), join(app, library), { recursive: true });
  }
  await writeFile(join(app, 'release'), `release ${release}\n`);
  for (const path of ['tar-stream/package.json', 'ioredis/package.json', 'ioredis/README.md']) {
    await appendFile(join(app, path), `\n1.${release}.0\n`);
  }
  if (release === 2) {
    await rm(join(app, 'ioredis', 'LICENSE'), { force: true });
    await appendFile(join(app, 'ioredis', 'built', 'index.js'), 'exports.second = () => 2;\n');
    await copyFile(fileURLToPath(import.meta.url), join(app, 'new.ts'));
  }
  const built = new Date(Date.UTC(2026, release));
  for (const path of [...(await readdir(directory, { recursive: true })), '.']) {
    await lutimes(join(directory, path), built, built);
  }
  await writeFile(join(directory, 'Dockerfile'), DOCKERFILE.replace('RELEASE', String(release)));
  await docker('build', '-q', '--no-cache', '-t', name, directory);
}
