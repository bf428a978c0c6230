/** Images of published executables and jars, two releases each, for `npm run bench:delta`. See `--help`. */
import { spawnSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { digestOf } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import { writeLayout } from '../test/support/layout.ts';
import { writeTar } from '../test/support/tar.ts';
import { writeZip } from '../test/support/zip.ts';
import { fetchRelease } from './npmimage.ts';
import { EXECUTABLES, JARS, type Published } from './publishedfiles.ts';
import { runCommand } from './command.ts';

const NAMES: readonly string[] = [...EXECUTABLES.map(({ name }) => name), 'jars', 'fat-jar'];

const HELP = `Downloads two releases each of executables and jars, and writes them as images of one layer.

Usage: npm run bench:published -- DIR [--only NAME,…]

DIR gets an OCI layout per release, NAME-1 and NAME-2. Executables come by npm, jars by mvn. The digest of each file is
checked. At the end the command is printed that measures the pairs.

  --only NAME,…  of ${NAMES.join(', ')} (default: all)
`;

const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';

interface File {
  readonly path: string;
  readonly content: Buffer;
}

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { help: { type: 'boolean', default: false }, only: { type: 'string' } },
  });
  if (values.help) return void process.stdout.write(HELP);
  const [directory, ...rest] = positionals;
  if (directory === undefined || rest.length > 0) {
    throw new PanamaxError('usage', 'wrong number of operands', {
      expected: 'one directory',
      found: positionals.length,
    });
  }
  const only = values.only?.split(',') ?? NAMES;
  const unknown = only.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new PanamaxError('usage', '--only', { expected: NAMES.join(', '), found: unknown });
  }
  const isWanted = (name: string) => only.includes(name);
  await mkdir(directory, { recursive: true });
  const downloads = await mkdtemp(join(tmpdir(), 'panamax-published-'));
  const pairs: string[] = [];
  const write = async (name: string, sides: readonly (readonly File[])[]) => {
    for (const [i, files] of sides.entries()) {
      await writeLayout(join(directory, `${name}-${i + 1}`), [writeTar(files)]);
    }
    pairs.push(`${name}-1:${name}-2`);
  };
  try {
    for (const executable of EXECUTABLES.filter(({ name }) => isWanted(name))) {
      await write(
        executable.name,
        await bothSides([executable], (release) => fromNpm(release, executable, downloads)),
      );
    }
    if (isWanted('jars') || isWanted('fat-jar')) {
      const jars = await bothSides(JARS, (release) => fromMaven(release, downloads));
      if (isWanted('jars')) await write('jars', jars);
      if (isWanted('fat-jar')) await write('fat-jar', jars.map(fatJar));
    }
  } finally {
    await rm(downloads, { recursive: true, force: true });
  }
  process.stdout.write(`npm run bench:delta -- ${directory} --pairs ${pairs.join(',')}\n`);
}

/** The files of the older releases, and those of the newer ones, each with the digest that the recipe names. */
async function bothSides(
  recipes: readonly Published[],
  fetch: (release: string) => Promise<Buffer>,
): Promise<File[][]> {
  const sides: File[][] = [[], []];
  for (const { name, source, releases, digests } of recipes) {
    for (const i of [0, 1] as const) {
      const release = releases[i];
      const content = await fetch(`${source}@${release}`);
      const found = digestOf(content);
      if (found !== digests[i]) {
        throw new PanamaxError('bad-input', `${source} ${release} has another digest`, {
          expected: digests[i],
          found,
        });
      }
      sides[i]!.push({ path: name, content });
    }
  }
  return sides;
}

async function fromNpm(release: string, { member }: Published, downloads: string): Promise<Buffer> {
  const entries = extract();
  const reading = pipeline(createReadStream(await fetchRelease(release, downloads)), createGunzip(), entries);
  let content: Buffer | undefined;
  for await (const entry of entries) {
    if (entry.header.name === `package/${member}`) content = await buffer(entry);
    else entry.resume();
  }
  await reading;
  if (content) return content;
  throw new PanamaxError('not-found', `no ${member} in ${release}`);
}

async function fromMaven(release: string, downloads: string): Promise<Buffer> {
  const artifact = release.replace('@', ':');
  const args = ['-q', '-B', COPY, `-Dartifact=${artifact}`, `-DoutputDirectory=${downloads}`];
  const { status } = spawnSync('mvn', args, { stdio: 'inherit', cwd: downloads });
  if (status !== 0) throw new PanamaxError('io', `mvn cannot copy ${artifact}`);
  const [, name, version] = artifact.split(':');
  return readFile(join(downloads, `${name}-${version}.jar`));
}

/** An application's jar that stores the jars it uses, as Spring Boot writes it. */
function fatJar(jars: readonly File[]): File[] {
  const members = jars.map(({ path, content }) => ({
    name: `BOOT-INF/lib/${basename(path)}`,
    content,
    isStored: true,
  }));
  return [{ path: 'app.jar', content: writeZip(members) }];
}

await runCommand(main);
