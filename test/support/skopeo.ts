/** skopeo as a judge: it reads images and writes archives. */
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

/** Copies an image and verifies all of its blobs. */
export async function skopeoCopy(from: string, to: string, ...options: readonly string[]): Promise<void> {
  await run('skopeo', ['--insecure-policy', ...options, 'copy', '-q', from, to]);
}

/** Pushes an image, byte for byte, to a registry over plain HTTP. @param name HOST/REPO:TAG */
export async function skopeoPush(from: string, name: string, ...options: readonly string[]): Promise<void> {
  const flags = ['-q', '--all', '--preserve-digests', '--dest-tls-verify=false'];
  await run('skopeo', ['--insecure-policy', 'copy', ...flags, ...options, from, `docker://${name}`]);
}
