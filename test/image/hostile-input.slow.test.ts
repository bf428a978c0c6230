/** Images that are damaged, hostile or not images: each is refused with one error that names problem and place. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { EXIT_CODES, type ErrorKind } from '../../lib/errors.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { openImage } from '../../lib/image/open.ts';
import { DEFAULT_LIMITS, type Limits } from '../../lib/limits.ts';
import { computeSignature } from '../../lib/pairing/signature/compute.ts';
import type { RunReport } from '../../lib/run/report.ts';
import { snapshot, temporaryDirectory } from '../support/directory.ts';
import { configOf, craneSave, dockerSave } from '../support/dockerarchive.ts';
import { blobPath, compress, digestOf, indexEntry, writeIndex, writeLayout } from '../support/layout.ts';
import { panamax } from '../support/panamax.ts';
import { createRandom } from '../support/random.ts';
import { releaseLayers } from '../support/releases.ts';
import {
  BLOCK,
  paxBody,
  setNumber,
  writeEntry,
  writeSpecial,
  writeTar,
  type TarFixture,
} from '../support/tar.ts';

interface BadImage {
  readonly what: string;
  readonly kind: ErrorKind;
  readonly message: RegExp;
  readonly limits?: Partial<Limits>;
  readonly make: (path: string) => Promise<unknown>;
  /** Its reference, if it differs from the path that `make` wrote. */
  readonly reference?: string;
}

const SMALL = Buffer.from('some content\n');
const TAR = writeTar([
  { path: 'etc/' },
  { path: 'etc/big', content: createRandom(1).text(50_000) },
  { path: 'etc/small', content: SMALL },
]);

/** An image of one layer. */
function layer(tar: Uint8Array): BadImage['make'] {
  return (path) => writeLayout(path, [tar]);
}

function entries(...fixtures: TarFixture[]): BadImage['make'] {
  return layer(writeTar(fixtures));
}

/** An image of one layer with other stored bytes. */
function stored(blob: Uint8Array, compression: 'gzip' | 'zstd' = 'gzip'): BadImage['make'] {
  return (path) => writeLayout(path, [TAR], { compression, blobs: [blob] });
}

function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 0x55;
  return copy;
}

/** A sound image with a change to its layout or archive. */
function changed(
  change: (path: string, layout: Awaited<ReturnType<typeof writeLayout>>) => Promise<unknown>,
) {
  return async (path: string) => change(path, await writeLayout(path, [TAR]));
}

function manifest(document: Readonly<Record<string, unknown>>): BadImage['make'] {
  return (path) => writeLayout(path, [TAR], { manifest: document });
}

function archive(bytes: Uint8Array): BadImage['make'] {
  return (path) => writeFile(path, bytes);
}

const GZIP = compress(TAR, 'gzip');
const ZSTD = compress(TAR, 'zstd');
const MIB = 1024 ** 2;
const CLASSIC = dockerSave({ config: configOf([TAR]), layers: [TAR] });

const DAMAGED: readonly BadImage[] = [
  {
    what: 'truncated tar',
    kind: 'bad-input',
    message: /truncated.*in .* at offset \d+, entry etc\/big/,
    make: layer(TAR.subarray(0, 20_000)),
  },
  {
    what: 'corrupt tar',
    kind: 'bad-input',
    message: /wrong checksum: expected \d+, found \d+, in .*sha256:/,
    make: layer(flipped(TAR, BLOCK + 3)),
  },
  {
    what: 'a layer that is not a tar',
    kind: 'bad-input',
    message: /in .*sha256:/,
    make: layer(createRandom(2).bytes(4096)),
  },
  {
    what: 'truncated gzip',
    kind: 'bad-input',
    message: /damaged compressed layer.*unexpected end.*in .*sha256:/,
    make: stored(GZIP.subarray(0, -20)),
  },
  {
    what: 'corrupt gzip',
    kind: 'bad-input',
    message: /damaged compressed layer|digest mismatch: expected sha256:/,
    make: stored(flipped(GZIP, GZIP.length >> 1)),
  },
  {
    what: 'gzip with a wrong checksum',
    kind: 'bad-input',
    message: /damaged compressed layer.*incorrect data check/,
    make: stored(flipped(GZIP, GZIP.length - 6)),
  },
  {
    what: 'gzip with trailing bytes',
    kind: 'bad-input',
    message: /damaged compressed layer/,
    make: stored(Buffer.concat([GZIP, SMALL])),
  },
  {
    what: 'truncated zstd',
    kind: 'bad-input',
    message: /damaged compressed layer.*in .*sha256:/,
    make: stored(ZSTD.subarray(0, -20), 'zstd'),
  },
  {
    what: 'corrupt zstd',
    kind: 'bad-input',
    message: /damaged compressed layer|digest mismatch: expected sha256:/,
    make: stored(flipped(ZSTD, ZSTD.length >> 1), 'zstd'),
  },
  {
    what: 'zstd with trailing bytes',
    kind: 'bad-input',
    message: /damaged compressed layer.*bytes between frames/,
    make: stored(Buffer.concat([ZSTD, SMALL]), 'zstd'),
  },
  {
    what: 'a layer blob of zero bytes',
    kind: 'bad-input',
    message: /digest mismatch: expected sha256:.*found sha256:e3b0c442/,
    make: stored(Buffer.alloc(0)),
  },
  {
    what: 'a layer that differs from its diffID',
    kind: 'bad-input',
    message: /digest mismatch: expected sha256:.*, found sha256:.*, in /,
    make: stored(compress(Buffer.concat([TAR, Buffer.alloc(BLOCK)]), 'gzip')),
  },
];

const MISNAMED: readonly BadImage[] = [
  {
    what: 'a layer blob with another digest',
    kind: 'bad-input',
    message: /digest mismatch: expected sha256:\w+, found sha256:\w+, in .*sha256:/,
    // a byte of the gzip header that decompressors ignore
    make: changed((path, { layerDigests: [digest] }) => writeFile(blobPath(path, digest!), flipped(GZIP, 4))),
  },
  {
    what: 'a layer blob that is too short',
    kind: 'bad-input',
    message: /damaged compressed layer|size mismatch: expected \d+ bytes, found \d+ bytes/,
    make: changed((path, { layerDigests: [digest] }) => truncate(blobPath(path, digest!), 100)),
  },
  {
    what: 'a layer blob that is too long',
    kind: 'bad-input',
    message: /size mismatch: expected \d+ bytes, found over \d+ bytes/,
    make: changed((path, { layerDigests: [digest] }) =>
      writeFile(blobPath(path, digest!), Buffer.concat([GZIP, Buffer.alloc(BLOCK)])),
    ),
  },
  {
    what: 'a manifest with another digest',
    kind: 'bad-input',
    message: /digest mismatch: expected sha256:/,
    make: changed(async (path, { manifestDigest }) => {
      const file = blobPath(path, manifestDigest);
      await writeFile(file, (await readFile(file, 'utf8')).replace('"schemaVersion":2', '"schemaVersion":1'));
    }),
  },
  ...(['manifestDigest', 'configDigest', 'layerDigests'] as const).map((which) => ({
    what: `a missing blob: ${which}`,
    kind: 'not-found' as const,
    message: /missing blob: expected sha256:\w+, in /,
    make: changed((path, layout) => rm(blobPath(path, [layout[which]].flat()[0]!))),
  })),
  {
    what: 'a docker archive without its layer',
    kind: 'not-found',
    message: /archive lacks a file: expected 0\.tar/,
    make: archive(
      writeTar([
        { path: 'c.json', content: configOf([TAR]) },
        { path: 'manifest.json', content: '[{"Config":"c.json","Layers":["0.tar"]}]' },
      ]),
    ),
  },
  {
    what: 'a docker archive without its config',
    kind: 'not-found',
    message: /archive lacks a file: expected c\.json/,
    make: archive(writeTar([{ path: 'manifest.json', content: '[{"Config":"c.json","Layers":[]}]' }])),
  },
  {
    what: 'a docker archive whose links form a loop',
    kind: 'bad-input',
    message: /links form a loop: found manifest\.json/,
    make: archive(
      writeTar([
        { path: 'manifest.json', type: 'symlink', linkPath: 'a' },
        { path: 'a', type: 'hardlink', linkPath: 'manifest.json' },
      ]),
    ),
  },
  {
    what: 'a docker archive with a layer that differs from its diffID',
    kind: 'bad-input',
    message: /digest mismatch/,
    make: archive(dockerSave({ config: configOf([GZIP]), layers: [TAR] })),
  },
];

const HOSTILE: readonly BadImage[] = [
  {
    what: 'a path out of the root',
    kind: 'bad-input',
    message: /path leads out of the root: found \.\.\/\.\.\/etc\/passwd, in /,
    make: entries({ path: '../../etc/passwd', content: 'root::0:0' }),
  },
  {
    what: 'a hardlink out of the root',
    kind: 'bad-input',
    message: /path leads out of the root: found \.\.\/\.\.\/etc\/shadow, in .*entry a/,
    make: entries({ path: 'a', type: 'hardlink', linkPath: '../../etc/shadow' }),
  },
  {
    what: 'a loop of hardlinks',
    kind: 'bad-input',
    message: /hardlink to a missing path: found b, in .*entry a/,
    make: entries(
      { path: 'a', type: 'hardlink', linkPath: 'b' },
      { path: 'b', type: 'hardlink', linkPath: 'a' },
    ),
  },
  {
    what: 'a loop of symlinks',
    kind: 'bad-input',
    message: /loop of symlinks: expected at most 40 symlinks, in .*entry a\/file/,
    make: entries(
      { path: 'a', type: 'symlink', linkPath: 'b' },
      { path: 'b', type: 'symlink', linkPath: 'a' },
      { path: 'a/file', content: SMALL },
    ),
  },
  {
    what: 'a bomb in gzip',
    kind: 'limit',
    message: /maxImageSize: expected at most 1048576/,
    limits: { maxImageSize: MIB },
    make: async (path) => {
      const bomb = writeTar([{ path: 'zeros', content: Buffer.alloc(20 * MIB) }]);
      await writeLayout(path, [bomb]);
    },
  },
  {
    what: 'a bomb in two layers',
    kind: 'limit',
    message: /over maxImageSize/,
    limits: { maxImageSize: 1.5 * TAR.length },
    make: (path) => writeLayout(path, [TAR, Buffer.concat([TAR, Buffer.alloc(BLOCK)])]),
  },
  {
    what: 'a bomb in a docker archive',
    kind: 'limit',
    message:
      /layer is over maxImageSize: expected at most 1048576 bytes uncompressed, found more, in .*image \w+\.tar\.gz/,
    limits: { maxImageSize: MIB },
    make: async (path) => {
      const bomb = writeTar([{ path: 'zeros', content: Buffer.alloc(20 * MIB) }]);
      await writeFile(path, craneSave({ config: configOf([bomb]), layers: [bomb] }));
    },
  },
  {
    what: 'a sparse file of a terabyte',
    kind: 'limit',
    message: /maxImageSize: expected at most 68719476736, found 1099511627776, in .*entry hole/,
    make: entries({ path: 'hole', content: '', sparse: { format: '1.0', runs: [], size: 2 ** 40 } }),
  },
  {
    what: 'too many entries',
    kind: 'limit',
    message: /maxEntries.*: expected at most 50/,
    limits: { maxEntries: 50 },
    make: entries(...Array.from({ length: 60 }, (_, i) => ({ path: `${i}` }))),
  },
  {
    what: 'a pax header of megabytes',
    kind: 'limit',
    message: /maxHeaderSize.*expected at most 1048576, found \d+/,
    make: layer(
      Buffer.concat([
        writeSpecial('x', paxBody([['comment', 'x'.repeat(2 * MIB)]])),
        writeEntry({ path: 'a' }),
        Buffer.alloc(2 * BLOCK),
      ]),
    ),
  },
  {
    what: 'a path that is too long',
    kind: 'limit',
    message: /maxPathLength.*expected at most 4096, found 5000/,
    make: entries({ path: 'x/'.repeat(2500).slice(0, 4999) + 'y' }),
  },
  {
    what: 'an entry whose size exceeds the tar',
    kind: 'bad-input',
    message: /truncated|ends within/,
    make: entries({ path: 'a', content: SMALL, edit: setNumber(124, 12, 2 ** 33) }),
  },
  {
    what: 'too many layers',
    kind: 'limit',
    message: /over maxLayers: expected at most 512, found 600/,
    make: async (path) => {
      const empty = writeTar([]);
      await writeLayout(
        path,
        Array.from({ length: 600 }, () => empty),
      );
    },
  },
  {
    what: 'a manifest of megabytes',
    kind: 'limit',
    message: /over maxDocumentSize: expected at most 4194304 bytes, found \d+/,
    make: manifest({ annotations: { long: 'x'.repeat(5 * MIB) } }),
  },
  {
    what: 'an index.json of megabytes',
    kind: 'limit',
    message: /over maxDocumentSize: expected at most 4194304 bytes, found \d+/,
    make: changed((path) => writeFile(join(path, 'index.json'), ' '.repeat(5 * MIB))),
  },
  {
    what: 'indexes nested too deep',
    kind: 'limit',
    message: /nested too deep: expected at most 4/,
    make: changed(async (path, { manifestDigest }) => {
      let entry = await indexEntry(path, manifestDigest);
      for (let depth = 0; depth < 5; depth++) {
        entry = await indexEntry(path, await writeIndex(path, [entry], { blob: true }), { kind: 'index' });
      }
      await writeIndex(path, [entry]);
    }),
  },
];

const EMPTY_CONFIG = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  digest: digestOf(Buffer.from('{}')),
  size: 2,
};

const NO_IMAGES: readonly BadImage[] = [
  {
    what: 'an unknown layer type',
    kind: 'bad-input',
    message: /unknown layer media type: expected .*, found application\/x-unknown, in .*sha256:/,
    make: manifest({
      layers: [{ mediaType: 'application/x-unknown', digest: digestOf(GZIP), size: GZIP.length }],
    }),
  },
  {
    what: 'an unknown manifest type',
    kind: 'bad-input',
    message: /unknown manifest media type: expected .*, found application\/x-unknown/,
    make: manifest({ mediaType: 'application/x-unknown' }),
  },
  {
    what: 'an artifact that is not an image',
    kind: 'bad-input',
    message: /unknown config media type: expected .*, found application\/vnd\.oci\.empty\.v1\+json/,
    make: manifest({ artifactType: 'application/x-helm', config: EMPTY_CONFIG }),
  },
  {
    what: 'a manifest of schema version 1',
    kind: 'bad-input',
    message: /unknown manifest version: expected schemaVersion 2, found schemaVersion 1/,
    make: manifest({ schemaVersion: 1 }),
  },
  {
    what: 'a digest that is a path',
    kind: 'bad-input',
    message: /not a digest: expected sha256: and 64 hex digits, found "sha256:\.\.\/\.\.\/etc\/passwd"/,
    make: manifest({ config: { ...EMPTY_CONFIG, digest: 'sha256:../../etc/passwd' } }),
  },
  {
    what: 'a config that lacks a layer of the manifest',
    kind: 'bad-input',
    message: /config and manifest differ in the number of layers: expected 1 diff_ids, found 0/,
    make: (path) => writeLayout(path, [TAR], { config: { rootfs: { type: 'layers' } } }),
  },
  {
    what: 'a docker archive that lacks a layer of its config',
    kind: 'bad-input',
    message: /differ in the number of layers: expected 2, found 1/,
    make: archive(dockerSave({ config: configOf([TAR, TAR]), layers: [TAR] })),
  },
  {
    what: 'an index of zero bytes',
    kind: 'bad-input',
    message: /not a JSON document.*in .*index\.json/,
    make: changed((path) => writeFile(join(path, 'index.json'), '')),
  },
  {
    what: 'an index without images',
    kind: 'not-found',
    message: /expected an image, found none/,
    make: changed((path) => writeIndex(path, [])),
  },
  {
    what: 'an index that is a directory',
    kind: 'bad-input',
    message: /not an OCI layout/,
    make: changed(async (path) => {
      await rm(join(path, 'index.json'));
      await mkdir(join(path, 'index.json'));
    }),
  },
  {
    what: 'a directory that is not a layout',
    kind: 'bad-input',
    message: /not an OCI layout: expected a file oci-layout/,
    make: (path) => mkdir(path),
  },
  { what: 'a path that does not exist', kind: 'not-found', message: /no such image/, make: async () => {} },
  {
    what: 'a device instead of an archive',
    kind: 'bad-input',
    message: /not a regular file, in|not a regular file: in/,
    make: async () => {},
    reference: 'oci-archive:/dev/zero',
  },
  {
    what: 'an archive of zero bytes',
    kind: 'bad-input',
    message: /in .*/,
    make: archive(Buffer.alloc(0)),
  },
  {
    what: 'an archive of other files',
    kind: 'bad-input',
    message: /neither an OCI archive nor a docker archive: expected index\.json or manifest\.json/,
    make: archive(TAR),
  },
  {
    what: 'a truncated archive',
    kind: 'bad-input',
    message: /truncated.*in /,
    make: archive(CLASSIC.subarray(0, 30_000)),
  },
  {
    what: 'a compressed archive',
    kind: 'bad-input',
    message: /archive is compressed; decompress it first: expected a plain tar/,
    make: archive(gzipSync(CLASSIC)),
  },
];

const ALL = { DAMAGED, MISNAMED, HOSTILE, NO_IMAGES };

for (const [group, images] of Object.entries(ALL)) {
  describe(group.toLowerCase().replace('_', ' '), () => {
    for (const { what, kind, message, limits, make, ...image } of images) {
      test(what, async (t) => {
        const directory = await temporaryDirectory(t);
        const path = join(directory, 'image');
        await make(path);
        const reference = image.reference ?? path;
        const before = await snapshot(directory);
        const options = { limits: { ...DEFAULT_LIMITS, ...limits } };
        const read = async () =>
          computeSignature(await openImage(await parseReference(reference), options), options.limits);
        await assert.rejects(read, { name: 'PanamaxError', kind, message });
        assert.deepEqual(await snapshot(directory), before, 'nothing is left or changed');
      });
    }
  });
}

test('backfill reports each bad image, signs the sound ones and leaves no scratch files', async (t) => {
  const directory = await temporaryDirectory(t);
  const [scratch, store] = ['scratch', 'store'].map((name) => join(directory, name)) as [string, string];
  await writeLayout(join(directory, 'good'), releaseLayers(1, 1));
  const bad = Object.values(ALL)
    .flat()
    .filter(({ limits }) => !limits);
  const references: string[] = [];
  for (const [i, { make, reference }] of bad.entries()) {
    const path = join(directory, String(i));
    await make(path);
    references.push(reference ?? path);
  }
  const args = ['backfill', join(directory, 'good'), ...references, '--store', store, '--scratch', scratch];
  const { code, stdout, stderr } = await panamax(...args, '--json');
  assert.equal(code, EXIT_CODES.partial, stderr);
  const { images } = JSON.parse(stdout) as RunReport;
  assert.equal(images.length, bad.length + 1);
  assert.equal(images[0]!.status, 'done');
  for (const [i, { what, kind, message }] of bad.entries()) {
    const image = images[i + 1]!;
    assert.ok(image.status === 'failed', what);
    assert.equal(image.error.kind, kind, what);
    assert.match(image.error.message, message);
  }
  assert.deepEqual(await snapshot(scratch), {});
  const kept = Object.keys(await snapshot(store)).filter((key) => /^signatures\/v\d+\//.test(key));
  assert.equal(kept.length, 1);
});
