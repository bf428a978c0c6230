import { digestOf, hexOf, type Digest } from '../lib/digest.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { createHash } from 'node:crypto';
import { extract, pack, type Pack } from 'tar-stream';
import { layoutIndex, LAYOUT_MARKER } from '../lib/image/write/layoutindex.ts';
import { MEDIA_TYPES } from '../lib/image/oci/manifest.ts';
import { machinePlatform } from '../lib/image/oci/platform.ts';
import { recompressedInThread } from '../lib/compression/threadcompressor.ts';

/** A published release of an npm package: `name@version`. */
export type Release = string;

/** Downloads a release's tarball by npm with the machine's configuration. */
export async function fetchRelease(release: Release, directory: string): Promise<string> {
  const args = ['pack', release, '--silent', '--pack-destination', directory];
  const npm = process.env['npm_execpath'];
  const child = npm
    ? spawn(process.execPath, [npm, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    : spawn('npm', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  const file = output.trim().split('\n').at(-1);
  if (code !== 0 || !file) throw new Error(`npm pack ${release} failed with code ${code}`);
  return join(directory, file);
}

/**
 * Writes an OCI layout with one layer per tarball, installed below `node_modules`. All files get the time of this build, as
 * in a build without cache, so that each build has different layers.
 */
export async function buildImage(directory: string, tarballs: readonly string[], built: Date): Promise<void> {
  const blobs = join(directory, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const layers = [];
  for (const tarball of tarballs) layers.push(await buildLayer(tarball, blobs, built));
  const writeBlob = async (document: object) => {
    const bytes = Buffer.from(JSON.stringify(document));
    await writeFile(join(blobs, hexOf(digestOf(bytes))), bytes);
    return { digest: digestOf(bytes), size: bytes.length };
  };
  const config = await writeBlob({
    ...machinePlatform(),
    created: built.toISOString(),
    config: { WorkingDir: '/app', Cmd: ['node', 'server.js'] },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffID) },
  });
  const manifest = await writeBlob({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, digest: config.digest, size: config.size },
    layers: layers.map(({ digest, size }) => ({ mediaType: `${MEDIA_TYPES.ociLayer}+gzip`, digest, size })),
  });
  await writeFile(join(directory, 'oci-layout'), LAYOUT_MARKER);
  const { digest, size } = manifest;
  const descriptor = { mediaType: MEDIA_TYPES.ociManifest, digest, size };
  await writeFile(join(directory, 'index.json'), layoutIndex(descriptor, undefined));
}

async function buildLayer(
  tarball: string,
  blobs: string,
  mtime: Date,
): Promise<{ diffID: Digest; digest: Digest; size: number }> {
  const path = join(blobs, '..', 'layer.part');
  const diff = createHash('sha256');
  const layer = createHash('sha256');
  const tar = pack();
  await Promise.all([
    reinstall(tarball, tar, mtime),
    pipeline(Readable.from(tar), tee(diff), compressed, tee(layer), createWriteStream(path)),
  ]);
  const digest: Digest = `sha256:${layer.digest('hex')}`;
  await rename(path, join(blobs, hexOf(digest)));
  return {
    diffID: `sha256:${diff.digest('hex')}`,
    digest,
    size: (await stat(join(blobs, hexOf(digest)))).size,
  };
}

/** Copies the entries of an npm tarball from `package/` to the package's directory in `node_modules`. */
async function reinstall(tarball: string, tar: Pack, mtime: Date): Promise<void> {
  const name = tarball
    .split('/')
    .at(-1)!
    .replace(/-\d.*$/, '');
  const entries = extract();
  const copied = (async () => {
    for await (const entry of entries) {
      const { name: path, size, mode } = entry.header;
      const target = path.replace(/^[^/]+/, `app/node_modules/${name}`);
      await pipeline(
        entry,
        tar.entry({ name: target, size: size ?? 0, mode: mode ?? 0o644, mtime, type: 'file' }),
      );
    }
    tar.finalize();
  })();
  await Promise.all([pipeline(createReadStream(tarball), createGunzip(), entries), copied]);
}

/** Compresses a layer as Docker does. */
function compressed(tar: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return recompressedInThread(tar, { encoder: 'go', level: 6, header: 'H4sIAAAAAAAA/w==' });
}

function tee(hash: { update(bytes: Uint8Array): unknown }) {
  return async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
}
