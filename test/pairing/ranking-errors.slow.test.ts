/** Pairs that could mislead a ranking by their size, their layers, one large file or a common base. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { compareSignatures, isWorthIt, rankCandidates, type Candidate } from '../../lib/pairing/ranking.ts';
import { computeSignature } from '../../lib/pairing/signature/compute.ts';
import type { Signature } from '../../lib/pairing/signature/signature.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { makePatch } from '../support/patch.ts';
import { createRandom } from '../support/random.ts';
import { writeTar, type TarFixture } from '../support/tar.ts';

interface SignedImage {
  readonly layout: string;
  readonly signature: Signature;
}

async function sign(t: TestContext, ...layers: readonly (readonly TarFixture[])[]): Promise<SignedImage> {
  const directory = await temporaryDirectory(t);
  const layout = join(directory, 'image');
  await writeLayout(layout, layers.map(writeTar));
  const image = await openImage(await parseReference(layout), { limits: DEFAULT_LIMITS });
  return { layout, signature: await computeSignature(image, DEFAULT_LIMITS) };
}

const file = (path: string, seed: number, size = 40_000): TarFixture => ({
  path,
  content: createRandom(seed).text(size),
});
const files = (name: string, from: number, count: number) =>
  Array.from({ length: count }, (_, i) => file(`${name}/${i}`, from + i));

function compare(target: SignedImage, source: SignedImage): Candidate {
  return compareSignatures(target.signature, source.signature);
}

async function patchSize(target: SignedImage, source: SignedImage): Promise<number> {
  const path = `${target.layout}.patch`;
  await makePatch(source.layout, target.layout, path);
  return (await stat(path)).size;
}

/** Checks that the expected source ranks first, and that real patches confirm it. */
async function assertBest(target: SignedImage, best: SignedImage, ...others: SignedImage[]): Promise<void> {
  const sources = [...others, best];
  const candidates = sources.map((source) => compare(target, source));
  const [first] = rankCandidates(target.signature.image.manifest, candidates).candidates;
  assert.equal(first!.source, best.signature.image.manifest);
  const sizes: number[] = [];
  for (const source of sources) sizes.push(await patchSize(target, source));
  assert.equal(Math.min(...sizes), sizes.at(-1));
}

const noise = (seed: number) => ({ path: `app/${seed}`, content: createRandom(seed).bytes(400_000) });

test('ranks a huge source that contains the small target first', async (t) => {
  const small = files('app', 1, 3);
  const target = await sign(t, small);
  const huge = await sign(
    t,
    files('other', 100, 60),
    small.map((one) => ({ ...one, path: `opt/${one.path}`, mtime: 5 })),
  );
  const alike = await sign(t, [...small.slice(0, 2), file('app/2', 50)]);
  await assertBest(target, huge, alike);
  const candidate = compare(target, huge);
  assert.equal(candidate.newBytes + candidate.changedBytes, 0);
  assert.ok(candidate.predictedPatchSize < 5000 && isWorthIt(candidate));
});

test('ranks equal content in other layers as high as in the same layers', async (t) => {
  const all = files('app', 1, 12);
  const target = await sign(t, all);
  const split = await sign(t, all.slice(0, 5), all.slice(5, 6), all.slice(6));
  const { predictedPatchSize, sharedLayerBytes } = compare(target, split);
  assert.equal(sharedLayerBytes, 0);
  assert.ok(predictedPatchSize < 5000);
  await assertBest(target, split, await sign(t, [...all.slice(1), file('app/0', 77)]));
});

test('ranks by the changed share of one file that is most of the image', async (t) => {
  const large = createRandom(9).text(1_500_000);
  const edited = `${large.slice(0, 700_000)}a few other words${large.slice(700_100)}`;
  const rest = files('app', 1, 3);
  const target = await sign(t, [...rest, { path: 'large', content: large }]);
  const near = await sign(t, [...rest, { path: 'large', content: edited }]);
  const far = await sign(t, [...rest, file('large', 10, 1_500_000)]);
  await assertBest(target, near, far);
  const [nearBy, farOff] = [compare(target, near), compare(target, far)];
  assert.equal(nearBy.identicalBytes, farOff.identicalBytes);
  assert.ok(nearBy.predictedPatchSize < farOff.predictedPatchSize / 10);
  assert.ok(nearBy.changedBytes === 1_500_000 && farOff.newBytes === 1_500_000);
});

test('finds no source worth a patch if only base layers are common', async (t) => {
  const base = files('base', 1, 10);
  const target = await sign(t, base, [noise(100)]);
  const source = await sign(t, base, [noise(200)]);
  const candidate = compare(target, source);
  assert.ok(candidate.sharedLayerBytes > 400_000);
  assert.ok(candidate.newBytes === 400_000);
  assert.ok(!isWorthIt(candidate), `${candidate.predictedPatchSize} of ${candidate.pullSize}`);
  assert.ok((await patchSize(target, source)) > 0.95 * candidate.pullSize);
  const identicalBase = await sign(t, base);
  const pulled = compare(await sign(t, base), identicalBase);
  assert.equal(pulled.pullSize, 0);
  assert.ok(!isWorthIt(pulled));
});
