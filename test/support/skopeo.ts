/** skopeo as a judge: what it makes of an image, and archives as it writes them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { digestOf } from './layout.ts';

const run = promisify(execFile);

/** Digest of the manifest. */
export async function skopeoManifest(reference: string): Promise<string> {
  const { stdout } = await run('skopeo', ['inspect', reference]);
  return (JSON.parse(stdout) as { Digest: string }).Digest;
}

/** The image ID. */
export async function skopeoConfig(reference: string): Promise<string> {
  const { stdout } = await run('skopeo', ['inspect', '--config', '--raw', reference], { encoding: 'buffer' });
  return digestOf(stdout);
}

/** Reads all of an image, verifying it, and writes it elsewhere. */
export async function skopeoCopy(from: string, to: string, ...options: readonly string[]): Promise<void> {
  await run('skopeo', ['--insecure-policy', ...options, 'copy', '-q', from, to]);
}

/** Puts an image, byte for byte, into a registry that speaks plain HTTP. @param name HOST/REPO:TAG */
export async function skopeoPush(from: string, name: string, ...options: readonly string[]): Promise<void> {
  const flags = ['-q', '--all', '--preserve-digests', '--dest-tls-verify=false'];
  await run('skopeo', ['--insecure-policy', 'copy', ...flags, ...options, from, `docker://${name}`]);
}
