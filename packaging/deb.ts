/**
 * Makes a Debian package for sites: the single executable, manual pages, completions and the unit of the mirror.
 *
 *     node packaging/deb.ts [ARCHITECTURE...]      default: that of this machine; writes packages/panamax_*.deb
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { findBuild } from '../bin/build.ts';
import { loadCommands } from '../bin/commands.ts';
import { SHELLS } from '../bin/completion.ts';
import { formatCommandManual, formatManual } from '../bin/manual.ts';
import { makeExecutable } from './package.ts';

/** Names of Node's architectures in Debian. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const COMPLETIONS = [
  ['bash', 'usr/share/bash-completion/completions/panamax'],
  ['zsh', 'usr/share/zsh/vendor-completions/_panamax'],
  ['fish', 'usr/share/fish/vendor_completions.d/panamax.fish'],
] as const;
const UNIT = join(import.meta.dirname, '../deploy/mirror/panamax-mirror.service');

/** @returns the path of the package */
export async function makeDeb(architecture: string, directory: string): Promise<string> {
  const { version } = findBuild();
  const root = join(directory, `root-${architecture}`);
  rmSync(root, { recursive: true, force: true });
  const place = (path: string, bytes: string | Uint8Array) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), bytes, { mode: 0o644 });
  };
  const commands = await loadCommands();
  // without a time, so that the same sources give the same pages
  place('usr/share/man/man1/panamax.1.gz', gzipSync(formatManual(commands)));
  for (const [name, command] of commands) {
    place(`usr/share/man/man1/panamax-${name}.1.gz`, gzipSync(formatCommandManual(name, command)));
  }
  for (const [shell, path] of COMPLETIONS) place(path, SHELLS.get(shell)!(commands));
  mkdirSync(join(root, 'usr/lib/systemd/system'), { recursive: true });
  copyFileSync(UNIT, join(root, 'usr/lib/systemd/system/panamax-mirror.service'));
  mkdirSync(join(root, 'usr/bin'));
  renameSync(await makeExecutable(architecture, directory), join(root, 'usr/bin/panamax'));
  chmodSync(join(root, 'usr/bin/panamax'), 0o755);
  place('DEBIAN/control', controlOf(version, ARCHITECTURES[architecture]!));
  const output = join(directory, `panamax_${version}_${ARCHITECTURES[architecture]!}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z9', '--build', root, output], {
    stdio: 'ignore',
  });
  rmSync(root, { recursive: true });
  return output;
}

function controlOf(version: string, architecture: string): string {
  return `Package: panamax
Version: ${version}
Architecture: ${architecture}
Maintainer: panamax maintainers <maintainers@panamax.invalid>
Depends: libc6 (>= 2.28), libstdc++6
Section: admin
Priority: optional
Description: container images as small patches instead of full pulls
 A site brings releases of its images by patches from the releases that it has:
 by panamax pull, or by a mirror from which its engines pull.
`;
}

if (import.meta.main) {
  const directory = resolve('packages');
  mkdirSync(directory, { recursive: true });
  const asked = process.argv.slice(2);
  for (const architecture of asked.length > 0 ? asked : [process.arch]) {
    if (!Object.hasOwn(ARCHITECTURES, architecture)) throw new Error(`no package for ${architecture}`);
    const output = await makeDeb(architecture, directory);
    process.stdout.write(`${output}: ${(statSync(output).size / 1e6).toFixed(0)} MB\n`);
  }
}
