/** Documents and files with random changes: each is read or refused with one of the expected errors. */
import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { parseRecipe, serializeRecipe, sourceRecord } from '../../lib/delta/recipe.ts';
import { PanamaxError, type ErrorKind } from '../../lib/errors.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { openImage } from '../../lib/image/open.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import {
  compareSignatures,
  parseRanking,
  rankCandidates,
  serializeRanking,
} from '../../lib/pairing/ranking.ts';
import { computeSignature } from '../../lib/pairing/signature/compute.ts';
import type { Signature } from '../../lib/pairing/signature/signature.ts';
import { parseSignature, serializeSignature } from '../../lib/pairing/signature/stored.ts';
import { imageIdentity, parsePatchDescriptor, serializePatchDescriptor } from '../../lib/store/descriptor.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configOf, craneSave, dockerSave } from '../support/dockerarchive.ts';
import { blobPath, compress, digestOf, writeLayout } from '../support/layout.ts';
import { sectionsOf, signatureWith } from '../support/storedsignature.ts';
import { damaged, mutated } from '../support/mutation.ts';
import { writeTar } from '../support/tar.ts';

const LAYER = writeTar([{ path: 'etc/' }, { path: 'etc/motd', content: 'welcome '.repeat(100) }]);
const RUNS = { numRuns: 300 };

const asText = (document: unknown) => Buffer.from(JSON.stringify(document) ?? '');

/** Passes if `read` succeeds, or fails with an error of one of `kinds` that names the place of bad input. */
async function understoodOrRefused(
  read: () => unknown,
  kinds: readonly ErrorKind[] = ['bad-input', 'not-found', 'limit', 'usage'],
): Promise<void> {
  try {
    await read();
  } catch (error) {
    assert.ok(error instanceof PanamaxError, (error as Error).stack ?? String(error));
    assert.ok(kinds.includes(error.kind), error.stack);
    if (error.kind === 'bad-input') assert.ok(error.facts.where, error.stack);
    assert.doesNotMatch(error.message, /\p{Cc}/u, 'control characters');
  }
}

async function readImage(reference: string): Promise<Signature> {
  const image = await openImage(await parseReference(reference), { limits: DEFAULT_LIMITS });
  return computeSignature(image, DEFAULT_LIMITS);
}

/** Also passes only if no file is left or removed in the directory. */
async function readAndLeaveNothing(reference: string, directory: string): Promise<void> {
  const before = await readdir(directory);
  await understoodOrRefused(() => readImage(reference));
  assert.deepEqual(await readdir(directory), before);
}

async function signatureOf(t: TestContext): Promise<Signature> {
  const directory = await temporaryDirectory(t);
  await writeLayout(join(directory, 'image'), [LAYER]);
  return readImage(join(directory, 'image'));
}

describe('reads or refuses changed documents of an image', () => {
  /** The three documents of a layout, each made from the previous one. */
  const documents = {
    config: {
      architecture: 'amd64',
      os: 'linux',
      variant: 'v1',
      config: {},
      rootfs: { type: 'layers', diff_ids: [digestOf(LAYER)] },
    } as unknown,
    manifest: (config: object): unknown => ({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: [
        { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(LAYER), size: LAYER.length },
      ],
    }),
    index: (manifest: object): unknown => ({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          ...manifest,
          platform: { os: 'linux', architecture: 'amd64', variant: 'v1' },
          annotations: { 'org.opencontainers.image.ref.name': 'latest' },
        },
      ],
    }),
  };

  for (const which of ['config', 'manifest', 'index'] as const) {
    test(`${which} of a layout`, async (t) => {
      const directory = await temporaryDirectory(t);
      const layout = join(directory, 'image');
      await writeLayout(layout, [LAYER], { compression: 'none' });
      const store = async (bytes: Buffer) => {
        await writeFile(blobPath(layout, digestOf(bytes)), bytes);
        return { digest: digestOf(bytes), size: bytes.length };
      };
      await fc.assert(
        fc.asyncProperty(fc.gen(), async (gen) => {
          const change = (name: string, document: unknown) =>
            asText(name === which ? gen(mutated, document) : document);
          const config = await store(change('config', documents.config));
          const manifest = await store(change('manifest', documents.manifest(config)));
          await writeFile(join(layout, 'index.json'), change('index', documents.index(manifest)));
          await understoodOrRefused(() => readImage(`oci:${layout}:latest`));
          await understoodOrRefused(() => readImage(layout));
        }),
        { numRuns: 150 },
      );
    });
  }

  test('manifest.json and config of a docker archive', async (t) => {
    const directory = await temporaryDirectory(t);
    const path = join(directory, 'image.tar');
    const manifest = [{ Config: 'config.json', RepoTags: ['app:1'], Layers: ['layer.tar'] }];
    const both = fc.oneof(
      mutated(manifest).map((changed) => [changed, documents.config]),
      mutated(documents.config).map((changed) => [manifest, changed]),
    );
    await fc.assert(
      fc.asyncProperty(both, async ([manifest, config]) => {
        const archive = writeTar([
          { path: 'layer.tar', content: LAYER },
          { path: 'config.json', content: asText(config) },
          { path: 'manifest.json', content: asText(manifest) },
        ]);
        await writeFile(path, archive);
        await understoodOrRefused(() => readImage(path));
      }),
      { numRuns: 150 },
    );
  });
});

describe('reads or refuses damaged files', () => {
  const tar = writeTar([
    { path: 'etc/' },
    { path: 'etc/motd', content: 'welcome '.repeat(100) },
    { path: 'etc/link', type: 'symlink', linkPath: 'motd' },
    { path: 'etc/hard', type: 'hardlink', linkPath: 'etc/motd' },
    { path: `${'d/'.repeat(70)}file`, content: 'long', format: 'gnu' },
    { path: 'xattrs', content: 'x', xattrs: { 'user.a': 'b' } },
    { path: 'etc/.wh.gone' },
    ...(['gnu', '1.0'] as const).map((format) => ({
      path: `sparse-${format}`,
      content: 'z'.repeat(3000),
      sparse: { format, runs: [0, 2000].map((offset) => ({ offset, size: 1000 })), size: 3000 },
    })),
  ]);

  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    test(`a layer, damaged before and after compression ${compression}`, async (t) => {
      const directory = await temporaryDirectory(t);
      const layout = join(directory, 'image');
      const whole = compress(tar, compression);
      const both = fc.oneof(
        damaged(tar).map((layer) => ({ layer, blob: compress(layer, compression) })),
        damaged(Buffer.from(whole)).map((blob) => ({ layer: tar, blob })),
      );
      const property = fc.asyncProperty(both, async ({ layer, blob }) => {
        await rm(layout, { recursive: true, force: true });
        // sound layers around it
        await writeLayout(layout, [tar, layer, LAYER], { compression, blobs: [whole, blob] });
        await readAndLeaveNothing(layout, directory);
      });
      await fc.assert(property, { numRuns: 100 });
    });
  }

  for (const [name, save] of [
    ['docker', dockerSave],
    ['crane', craneSave],
  ] as const) {
    test(`an archive of ${name}`, async (t) => {
      const directory = await temporaryDirectory(t);
      const path = join(directory, 'image.tar');
      const layers = [tar, LAYER, tar];
      const property = fc.asyncProperty(
        damaged(save({ config: configOf(layers), layers })),
        async (bytes) => {
          await writeFile(path, bytes);
          await readAndLeaveNothing(`docker-archive:${path}`, directory);
        },
      );
      await fc.assert(property, { numRuns: 150 });
    });
  }
});

describe('reads or refuses changed documents of stores and patches', () => {
  test('signature', async (t) => {
    const bytes = await serializeSignature(await signatureOf(t));
    const [document, ...others] = sectionsOf(bytes) as [Buffer, ...Buffer[]];
    await fc.assert(
      fc.asyncProperty(mutated(JSON.parse(document.toString())), (changed) => {
        const stored = signatureWith([asText(changed), ...others]);
        return understoodOrRefused(() => parseSignature(stored, 'here'), ['bad-input']);
      }),
      RUNS,
    );
  });

  test('patch descriptor', async (t) => {
    const signature = await signatureOf(t);
    const name = imageIdentity(signature.image);
    const descriptor = {
      format: 'xdelta',
      effort: 'default',
      source: name,
      target: name,
      patch: { size: 1, digest: name.manifest },
      sizes: { predicted: 1, actual: 1, pull: 2 },
    } as const;
    const bytes = serializePatchDescriptor(descriptor);
    assert.deepEqual(parsePatchDescriptor(bytes, 'here'), descriptor);
    await fc.assert(
      fc.asyncProperty(mutated(JSON.parse(bytes.toString())), (changed) => {
        const bytes = asText(changed);
        return understoodOrRefused(() => parsePatchDescriptor(bytes, 'here'), ['bad-input']);
      }),
      RUNS,
    );
  });

  test('ranking', async (t) => {
    const signature = await signatureOf(t);
    const { manifest } = signature.image;
    const other = `sha256:${'1'.repeat(64)}` as const;
    const candidate = { ...compareSignatures(signature, signature), source: other };
    const ranking = rankCandidates(manifest, [candidate]);
    assert.deepEqual(parseRanking(serializeRanking(ranking), 'here'), ranking);
    await fc.assert(
      fc.asyncProperty(mutated(JSON.parse(serializeRanking(ranking).toString())), (changed) => {
        const bytes = asText(changed);
        return understoodOrRefused(() => parseRanking(bytes, 'here'), ['bad-input']);
      }),
      RUNS,
    );
  });

  test('recipe of a patch', async (t) => {
    const signature = await signatureOf(t);
    const recipe = { source: sourceRecord(signature.image), target: signature.image };
    const text = serializeRecipe(recipe);
    assert.deepEqual(parseRecipe(text, 'here'), recipe);
    const document: unknown = JSON.parse(zstdDecompressSync(Buffer.from(text, 'base64url')).toString());
    await fc.assert(
      fc.asyncProperty(mutated(document), (changed) => {
        const text = zstdCompressSync(asText(changed)).toString('base64url');
        return understoodOrRefused(() => parseRecipe(text, 'here'), ['bad-patch']);
      }),
      RUNS,
    );
    await fc.assert(
      fc.asyncProperty(fc.string(), (text) =>
        understoodOrRefused(() => parseRecipe(text, 'here'), ['bad-patch']),
      ),
      RUNS,
    );
  });
});
