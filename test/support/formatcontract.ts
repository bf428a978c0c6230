/** The contract of `lib/delta/format.ts` as tests that every patch format passes. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createPatch } from '../../lib/delta/create.ts';
import type { PatchFormat, UnpackedImage } from '../../lib/delta/format.ts';
import { formatOfFile, openPatch } from '../../lib/delta/patch.ts';
import { toPanamaxError, type ErrorKind } from '../../lib/errors.ts';
import { layerSizes, unpackImage } from '../../lib/image/layerstream.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { openImage } from '../../lib/image/open.ts';
import { imageRecord, type ImageRecord } from '../../lib/image/record.ts';
import { DEFAULT_LIMITS as limits } from '../../lib/limits.ts';
import { compareSignatures, isWorthIt } from '../../lib/pairing/ranking.ts';
import { computeSignature } from '../../lib/pairing/signature/compute.ts';
import { findSourceImages } from '../../lib/site/choice/sourceimages.ts';
import {
  imageIdentity,
  parsePatchDescriptor,
  serializePatchDescriptor,
  sourceIdentity,
} from '../../lib/store/descriptor.ts';
import { keys } from '../../lib/store/keys.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { indexHead, readIndex, writeIndex } from '../../lib/store/targetindex.ts';
import { snapshot, temporaryDirectory } from './directory.ts';
import { writeLayout } from './layout.ts';
import { applyPatch } from './patch.ts';
import { releaseLayers } from './releases.ts';

/** Bytes that are damaged one by one, evenly over the file. */
const DAMAGED = 24;

interface Pair {
  readonly directory: string;
  /** Path of the source's layout. */
  readonly source: string;
  readonly patch: string;
  readonly target: ImageRecord;
  readonly path: (name: string) => string;
}

export function testFormat(format: PatchFormat): void {
  const { name, traits } = format;

  test(`${name}: creates a patch that rebuilds the image, its digest included`, async (t) => {
    const pair = await makePair(t, format);
    const output = pair.path('rebuilt');
    const record = await apply(pair, pair.source, `oci:${output}`);
    assert.equal(record.manifest, pair.target.manifest);
    const image = await openImage(await parseReference(output), { limits });
    assert.deepEqual(
      [image.configDigest, image.layers.map(({ diffID }) => diffID)],
      [pair.target.config, pair.target.layers.map(({ diffID }) => diffID)],
    );
  });

  test(`${name}: recognizes its own patches and reads their source, target and layers`, async (t) => {
    const { patch, path, target } = await makePair(t, format);
    assert.equal(await formatOfFile(patch), format);
    const opened = await openPatch(patch, limits);
    assert.equal(opened.format, name);
    const source = await openImage(await parseReference(path('source')), { limits });
    assert.equal(opened.source.config, source.configDigest);
    const { manifest, config } = opened.target;
    assert.deepEqual([manifest, config], [target.manifest, target.config]);
    assert.deepEqual(
      opened.layers.map(({ diffID }) => diffID),
      target.layers.map(({ diffID }) => diffID),
    );
  });

  test(`${name}: refuses a source that is another image, and writes nothing`, async (t) => {
    const pair = await makePair(t, format);
    await writeLayout(pair.path('other'), releaseLayers(2, 1));
    await assertRefused(pair, pair.path('other'), ['wrong-source']);
  });

  test(`${name}: refuses a patch that is cut short, and rebuilds nothing else from a damaged one`, async (t) => {
    const pair = await makePair(t, format);
    const bytes = await readFile(pair.patch);
    const output = pair.path('rebuilt.stream');
    await writeFile(pair.patch, bytes.subarray(0, bytes.length >> 1));
    await assertRefused(pair, pair.source, ['bad-patch']);
    let refused = 0;
    for (let i = 0; i < DAMAGED; i++) {
      const damaged = Buffer.from(bytes);
      damaged[Math.floor((i * bytes.length) / DAMAGED)]! ^= 0x10;
      await writeFile(pair.patch, damaged);
      try {
        await apply(pair, pair.source, `stream:${output}`);
        assert.ok((await readFile(output)).equals(Buffer.concat(releaseLayers(1, 2))), `byte ${i}`);
        await rm(output);
      } catch (error) {
        const { kind, stack } = toPanamaxError(error);
        assert.ok(kind === 'bad-patch' || kind === 'limit', stack);
        refused++;
      }
    }
    assert.ok(refused > DAMAGED / 2, `${refused} of ${DAMAGED} refused`);
  });

  test(`${name}: takes a layer stream as the source if its traits say so`, async (t) => {
    const pair = await makePair(t, format);
    const stream = pair.path('source.stream');
    await writeFile(stream, Buffer.concat(releaseLayers(1, 1)));
    if (!traits.appliesToStream) return assertRefused(pair, `stream:${stream}`, ['usage']);
    const record = await apply(pair, `stream:${stream}`, `oci:${pair.path('rebuilt')}`);
    assert.equal(record.manifest, pair.target.manifest);
    // patches chain: the stream that one patch rebuilds is the source of the next
    const last = await unpack(pair.path('last'), releaseLayers(1, 3));
    const next = pair.path('next.patch');
    await create(
      pair.path('next'),
      format,
      await unpack(pair.path('middle'), releaseLayers(1, 2)),
      last,
      next,
    );
    const built = pair.path('built.stream');
    await apply(pair, pair.source, `stream:${built}`);
    const end = await apply({ ...pair, patch: next }, `stream:${built}`, `oci:${pair.path('end')}`);
    assert.equal(end.manifest, last.record.manifest);
  });

  test(`${name}: takes the source's layers from several images if its traits say so`, async (t) => {
    const pair = await makePair(t, format);
    const images = releaseLayers(1, 1).map((layer, i) => ({ layer, path: pair.path(`part-${i}`) }));
    for (const { layer, path } of images) await writeLayout(path, [layer]);
    const sources = images.map(({ path }) => path);
    const residents = [];
    for (const path of sources) {
      const { configDigest, manifestDigest, layers } = await openImage(await parseReference(path), {
        limits,
      });
      residents.push({
        config: configDigest,
        manifests: [manifestDigest],
        diffIDs: layers.map(({ diffID }) => diffID),
        label: path,
        isExported: false,
        reference: async () => path,
      });
    }
    const source = sourceIdentity((await unpack(pair.path('again'), releaseLayers(1, 1))).record);
    const found = findSourceImages({ format: name, source }, residents);
    assert.equal(found !== undefined, traits.combinesSources);
    if (!traits.combinesSources) return assertRefused(pair, sources, ['usage']);
    const record = await apply(pair, sources, `oci:${pair.path('rebuilt')}`);
    assert.equal(record.manifest, pair.target.manifest);
  });

  test(`${name}: is predicted for every candidate, also for several images as one source`, async (t) => {
    const directory = await temporaryDirectory(t);
    const [target, ...sources] = await Promise.all(
      [2, 1, 3].map(async (release) => {
        const path = join(directory, `${release}`);
        await writeLayout(path, releaseLayers(1, release));
        const image = await openImage(await parseReference(path), { limits });
        return computeSignature(image, limits);
      }),
    );
    const one = compareSignatures(target!, sources[0]!);
    assert.ok(one.predictions[name]!.size > 0);
    assert.ok(one.predictions[name]!.seconds >= 0);
    const several = { ...compareSignatures(target!, sources), pullSize: Number.MAX_SAFE_INTEGER };
    assert.equal(isWorthIt(several, [name]), traits.combinesSources);
  });

  test(`${name}: has a key in the store, a descriptor and an entry in the target's index`, async (t) => {
    const { directory, target, patch } = await makePair(t, format);
    const store = await openDirectoryStore(join(directory, 'store'));
    const { record } = await unpack(join(directory, 'source-again'), releaseLayers(1, 1));
    const bytes = await readFile(patch);
    const key = keys.patch(target.manifest, record.manifest, name);
    assert.ok(key.endsWith(`.${format.suffix}`), key);
    await store.putFile(key, patch);
    const descriptor = {
      format: name,
      effort: 'default' as const,
      source: sourceIdentity(record),
      target: imageIdentity(target),
      patch: { size: bytes.length, digest: target.config },
      sizes: { predicted: 1, actual: bytes.length, pull: 2 },
    };
    const document = serializePatchDescriptor(descriptor);
    assert.deepEqual(parsePatchDescriptor(document, 'test'), descriptor);
    await store.put(keys.descriptor(target.manifest, record.manifest, name), document);
    await writeIndex(store, indexHead(target));
    const { patches } = (await readIndex(store, target.manifest))!;
    assert.deepEqual(
      patches.map((offer) => [offer.format, offer.key, offer.size]),
      [[name, key, bytes.length]],
    );
  });
}

/** A patch from the first release of an image to the second. */
async function makePair(t: TestContext, format: PatchFormat): Promise<Pair> {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const source = await unpack(path('source'), releaseLayers(1, 1));
  const target = await unpack(path('target'), releaseLayers(1, 2));
  await create(path('made'), format, source, target, path('patch'));
  return { directory, source: path('source'), patch: path('patch'), target: target.record, path };
}

async function create(
  scratch: string,
  { name }: PatchFormat,
  source: UnpackedImage,
  target: UnpackedImage,
  path: string,
): Promise<void> {
  await mkdir(scratch);
  const { size } = await createPatch(name, { source, target, path, scratch, effort: 'fast', limits });
  assert.equal(size, (await readFile(path)).length);
}

/** Uncompressed layers: the manifest digest can then be kept by any format. */
async function unpack(path: string, layers: readonly Uint8Array[]): Promise<UnpackedImage> {
  await writeLayout(path, layers, { compression: 'none' });
  const image = await openImage(await parseReference(path), { limits });
  const stream = await unpackImage(image, `${path}.stream`, limits);
  const compressions = image.layers.map(() => ({ encoder: 'none' }) as const);
  const record = imageRecord(image, layerSizes(stream), undefined, compressions);
  return { record, stream, layers: image.layers };
}

async function apply(
  { patch }: Pair,
  source: string | readonly string[],
  output: string,
): Promise<ImageRecord> {
  return applyPatch(patch, source, output);
}

/** Applying fails with one of these kinds and leaves the directory as it was. */
async function assertRefused(
  pair: Pair,
  source: string | readonly string[],
  kinds: readonly ErrorKind[],
): Promise<void> {
  const before = await snapshot(pair.directory);
  await assert.rejects(apply(pair, source, `oci:${pair.path('rebuilt')}`), (error: unknown) => {
    const { kind, stack } = toPanamaxError(error);
    assert.ok(kinds.includes(kind), stack);
    return true;
  });
  assert.deepEqual(await snapshot(pair.directory), before);
}
