import type { Digest } from '../../../lib/digest.ts';

/** Chains of a ranking through patches that exist. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { compareSignatures, type Candidate } from '../../../lib/pairing/ranking.ts';
import { DEFAULT_FORMAT } from '../../../lib/delta/formats.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { keys } from '../../../lib/store/keys.ts';
import { readIndex } from '../../../lib/store/targetindex.ts';
import { cheaperChains } from '../../../workers/pairing/chain.ts';
import { loadSignature } from '../../../workers/signature/load.ts';
import { makeReleases, runBackfill } from '../../support/backfill.ts';

/** As if the patch had been predicted to weigh and to take this. */
function predicted(candidate: Candidate, size: number, seconds: number): Candidate {
  const { name } = DEFAULT_FORMAT;
  const prediction = { ...candidate.predictions[name]!, size, seconds };
  return {
    ...candidate,
    predictedPatchSize: size,
    predictions: { ...candidate.predictions, [name]: prediction },
  };
}

test('reports a chain through existing patches if it is cheaper', async (t) => {
  const names = ['a1', 'a2', 'a3', 'a4'] as const;
  const directory = await makeReleases(t, names);
  const manifests: Digest[] = [];
  for (const [i, name] of names.entries()) {
    const image = await openImage({ transport: 'oci', path: join(directory, name) }, { limits });
    manifests.push(image.manifestDigest);
    if (i > 0) await runBackfill(directory, [name], { sources: [names[i - 1]!] });
  }
  const [a1, a2, a3, a4] = manifests as [Digest, Digest, Digest, Digest];
  const store = await openDirectoryStore(join(directory, 'store'));
  const sizeOf = async (target: Digest) => (await readIndex(store, target))!.patches[0]!.size;
  const steps = [await sizeOf(a2), await sizeOf(a3), await sizeOf(a4)] as const;
  const candidate = async (source: Digest, target: Digest) =>
    compareSignatures(await loadSignature(store, target), await loadSignature(store, source));
  const chainFor = async (source: Digest, target: Digest, size: number, seconds: number) => {
    const one = predicted(await candidate(source, target), size, seconds);
    return (await cheaperChains(store, target, [one], {})).get(source);
  };

  // three steps that exist; hardly more bytes, and nothing to make
  const all = steps[0] + steps[1] + steps[2];
  const whole = { through: [a2, a3], size: all, seconds: 0 };
  assert.deepEqual(await chainFor(a1, a4, all, 5), whole);
  assert.deepEqual(await chainFor(a1, a4, all + 1, 0), whole);
  // many more bytes
  assert.equal(await chainFor(a1, a4, Math.floor(all / 3), 5), undefined);
  // the source's own patch exists
  assert.equal(await chainFor(a3, a4, all, 5), undefined);

  // back to a1 no patch exists: one from a4 to a1 would have to go first
  assert.equal(await chainFor(a4, a1, all, 5), undefined);
  await store.remove(keys.index(a2));
  const { size, seconds } = (await candidate(a1, a3)).predictions[DEFAULT_FORMAT.name]!;
  const begun = { through: [a3], size: size + steps[2], seconds };
  assert.deepEqual(await chainFor(a1, a4, size + steps[2], seconds + 1), begun);
  await store.remove(keys.signature(a3));
  assert.equal(await chainFor(a1, a4, size + steps[2], seconds + 1), undefined);
});
