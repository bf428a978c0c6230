/**
 * Makes single executables: Node, the command and its threads in one file, which needs nothing else.
 *
 *     node packaging/package.ts [ARCHITECTURE...]      default: that of this machine; writes packages/panamax-linux-*
 *
 * Node for another architecture comes from npm, in the version of the Node that runs this script.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleScripts, findThreads } from './bundle.ts';

/** Marks Node's place for an application (nodejs.org, "Single executable applications"). */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const ARCHITECTURES = ['x64', 'arm64'];

/** @param isSite only with the commands of a site @returns the path of the executable */
export async function makeExecutable(
  architecture: string,
  directory: string,
  isSite = false,
): Promise<string> {
  const work = join(directory, `work-${architecture}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  await bundleScripts(work, isSite);
  const threads = findThreads().map((file) => `${basename(file, '.ts')}.js`);
  const config = {
    main: join(work, 'panamax.js'),
    output: join(work, 'blob'),
    disableExperimentalSEAWarning: true,
    assets: Object.fromEntries(threads.map((name) => [name, join(work, name)])),
  };
  writeFileSync(join(work, 'sea.json'), JSON.stringify(config));
  execFileSync(process.execPath, ['--experimental-sea-config', join(work, 'sea.json')], { stdio: 'ignore' });
  const output = join(directory, `panamax-linux-${architecture}`);
  copyFileSync(findNode(architecture, work), output);
  chmodSync(output, 0o755);
  // symbols are an eighth of Node; a program to leave them out need not be there
  if (isSite) spawnSync('strip', [output], { stdio: 'ignore' });
  const injection = [output, 'NODE_SEA_BLOB', config.output, '--sentinel-fuse', FUSE];
  execFileSync(process.execPath, [fileURLToPath(import.meta.resolve('postject/dist/cli.js')), ...injection], {
    stdio: 'ignore',
  });
  rmSync(work, { recursive: true });
  return output;
}

function findNode(architecture: string, work: string): string {
  if (architecture === process.arch) return process.execPath;
  const name = `node-linux-${architecture}@${process.versions.node}`;
  const archive = execFileSync('npm', ['pack', '--silent', '--pack-destination', work, name], {
    encoding: 'utf8',
  });
  execFileSync('tar', ['-xzf', join(work, archive.trim()), '-C', work]);
  return join(work, 'package', 'bin', 'node');
}

if (import.meta.main) {
  const directory = resolve('packages');
  mkdirSync(directory, { recursive: true });
  const asked = process.argv.slice(2);
  for (const architecture of asked.length > 0 ? asked : [process.arch]) {
    if (!ARCHITECTURES.includes(architecture)) throw new Error(`no executable for ${architecture}`);
    const output = await makeExecutable(architecture, directory);
    process.stdout.write(`${output}: ${(statSync(output).size / 1e6).toFixed(0)} MB\n`);
  }
}
