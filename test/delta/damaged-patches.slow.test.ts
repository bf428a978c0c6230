import { parseDestination } from '../../lib/image/write/destination.ts';
import { imageSink } from '../../lib/image/write/sink.ts';

/** Wrong sources, damaged patches and other files are refused, and nothing is left behind. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { applyPatchFile } from '../../lib/delta/apply.ts';
import { toPanamaxError, type ErrorKind } from '../../lib/errors.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { snapshot, temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { panamaxFails } from '../support/panamax.ts';
import { applyPatch, makePatch } from '../support/patch.ts';
import { createRandom } from '../support/random.ts';
import { releaseLayers, writeRelease } from '../support/releases.ts';

const FORMATS = ['xdelta', 'oci-delta'] as const;

interface Pair {
  readonly directory: string;
  readonly source: string;
  readonly patches: Readonly<Record<(typeof FORMATS)[number], string>>;
}

/** A patch of each format from the first release of an image to the second. */
async function makePair(t: TestContext): Promise<Pair> {
  const directory = await temporaryDirectory(t);
  const source = join(directory, 'source');
  const target = join(directory, 'target');
  await writeRelease(source, 1, 1);
  await writeRelease(target, 1, 2);
  const patches = { xdelta: join(directory, 'patch.xdelta'), 'oci-delta': join(directory, 'patch.tar') };
  for (const format of FORMATS) await makePatch(source, target, patches[format], format);
  return { directory, source, patches };
}

/** Refused with one of these kinds, and the directory is as it was. */
async function assertRefused(
  pair: Pair,
  task: { patch: string; source?: string; output: string },
  kinds: readonly ErrorKind[],
): Promise<void> {
  const before = await snapshot(pair.directory);
  await assert.rejects(applyPatch(task.patch, task.source ?? pair.source, task.output), (error: unknown) => {
    const { kind, stack } = toPanamaxError(error);
    assert.ok(kinds.includes(kind), stack);
    return true;
  });
  assert.deepEqual(await snapshot(pair.directory), before);
}

const outputs = ({ directory }: Pair) => [
  `oci:${directory}/new:tag`,
  `oci:${directory}/target:tag`,
  `oci-archive:${directory}/new.tar`,
  `docker-archive:${directory}/new.tar:app:1`,
  `stream:${directory}/new.stream`,
];

describe('applying with a wrong source', () => {
  test('fails before anything is written', async (t) => {
    const pair = await makePair(t);
    const { directory } = pair;
    const first = releaseLayers(1, 1);
    const wrong = {
      release: releaseLayers(1, 3),
      fewer: first.slice(0, 1),
      none: [],
    };
    // an xdelta needs the source's layers from any image
    const others = { more: [...first, first[0]!], swapped: first.toReversed() };
    for (const [name, layers] of Object.entries(others)) {
      const source = join(directory, name);
      await writeLayout(source, layers);
      await assertRefused(
        pair,
        { patch: pair.patches['oci-delta'], source, output: `oci:${directory}/new` },
        ['wrong-source'],
      );
      const output = join(directory, 'new.stream');
      await applyPatch(pair.patches.xdelta, source, `stream:${output}`);
      assert.ok((await readFile(output)).equals(Buffer.concat(releaseLayers(1, 2))));
      await rm(output);
    }
    for (const [name, layers] of Object.entries(wrong)) {
      const source = join(directory, name);
      await writeLayout(source, layers);
      for (const format of FORMATS) {
        await assertRefused(pair, { patch: pair.patches[format], source, output: `oci:${directory}/new` }, [
          'wrong-source',
        ]);
      }
    }
    const message = /not the source of this patch, which is image sha256:\w+: expected .*sha256:\w+, found /;
    const apply = ['apply', pair.patches.xdelta, '--output', `oci:${directory}/new`];
    await panamaxFails('wrong-source', message, ...apply, '--source', join(directory, 'release'));
  });

  test('fails for a layer stream with other bytes', async (t) => {
    const pair = await makePair(t);
    const source = join(pair.directory, 'source.stream');
    const right = Buffer.concat(releaseLayers(1, 1));
    const changed = Buffer.from(right);
    changed[right.length - 1]! ^= 1;
    for (const wrong of [
      changed,
      right.subarray(1),
      Buffer.concat([right, Buffer.alloc(1)]),
      Buffer.alloc(0),
    ]) {
      await writeFile(source, wrong);
      for (const output of outputs(pair)) {
        const task = { patch: pair.patches.xdelta, source: `stream:${source}`, output };
        await assertRefused(pair, task, ['wrong-source']);
      }
    }
    await writeFile(source, right);
    await applyPatch(pair.patches.xdelta, `stream:${source}`, `stream:${pair.directory}/new.stream`);
    const task = { patch: pair.patches['oci-delta'], source: `stream:${source}`, output: outputs(pair)[0]! };
    await assertRefused(pair, task, ['usage']);
  });

  test('fails for a missing layer stream', async (t) => {
    const pair = await makePair(t);
    const source = `stream:${pair.directory}/none`;
    await assertRefused(pair, { patch: pair.patches.xdelta, source, output: outputs(pair)[0]! }, [
      'not-found',
    ]);
  });
});

function damaged(patch: Buffer, { kind, at, bits }: { kind: string; at: number; bits: number }): Buffer {
  // headers are where damage does most: half of it goes there
  const place = at % 2 === 0 ? at % patch.length : at % Math.min(patch.length, 3000);
  const copy = Buffer.from(patch);
  if (kind === 'cut') return copy.subarray(0, place);
  if (kind === 'insert') {
    return Buffer.concat([copy.subarray(0, place), createRandom(at).bytes(bits), copy.subarray(place)]);
  }
  if (kind === 'zeros') return copy.fill(0, place, Math.min(place + bits, copy.length));
  copy[place]! ^= bits;
  return copy;
}

describe('applying a damaged patch', () => {
  const damage = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), bits: fc.constant(0) }),
    fc.record({ kind: fc.constant('zeros' as const), at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }),
  );

  for (const format of FORMATS) {
    test(`of format ${format} fails or still rebuilds the target`, async (t) => {
      const pair = await makePair(t);
      const sound = await readFile(pair.patches[format]);
      const patch = join(pair.directory, 'damaged');
      await applyPatch(pair.patches[format], pair.source, `stream:${pair.directory}/expected.stream`);
      const expected = await readFile(join(pair.directory, 'expected.stream'));
      let refused = 0;
      const property = fc.asyncProperty(damage, fc.nat(4), async (damage, where) => {
        const bytes = damaged(sound, damage);
        if (bytes.equals(sound)) return;
        await writeFile(patch, bytes);
        const before = await snapshot(pair.directory);
        const stream = join(pair.directory, 'new.stream');
        try {
          await applyPatch(patch, pair.source, `stream:${stream}`);
        } catch (error) {
          refused++;
          const { kind, stack } = toPanamaxError(error);
          assert.ok(['bad-patch', 'bad-input', 'wrong-source', 'limit', 'not-found'].includes(kind), stack);
          assert.deepEqual(await snapshot(pair.directory), before);
          await assertRefused(pair, { patch, output: outputs(pair)[where]! }, [kind]);
          return;
        }
        assert.ok((await readFile(stream)).equals(expected));
        await writeFile(stream, '');
      });
      await fc.assert(property, { numRuns: 40 });
      assert.ok(refused > 25, `only ${refused} refused`);
    });
  }

  test('makes the command fail and leaves nothing behind', async (t) => {
    const pair = await makePair(t);
    const bytes = await readFile(pair.patches.xdelta);
    bytes[bytes.length - 100]! ^= 1;
    const patch = join(pair.directory, 'damaged');
    await writeFile(patch, bytes);
    const before = await snapshot(pair.directory);
    const apply = ['apply', patch, '--source', pair.source, '--output', `oci:${pair.directory}/new`];
    await panamaxFails('bad-patch', /^panamax apply: /, ...apply, '--scratch', await temporaryDirectory(t));
    assert.deepEqual(await snapshot(pair.directory), before);
  });
});

test('applying a file that is no patch fails', async (t) => {
  const pair = await makePair(t);
  const patch = join(pair.directory, 'file');
  for (const content of ['', 'text', Buffer.from('d6c3c4', 'hex'), releaseLayers(1, 1)[0]!]) {
    await writeFile(patch, content);
    for (const output of outputs(pair))
      await assertRefused(pair, { patch, output }, ['bad-patch', 'bad-input']);
  }
  await assertRefused(pair, { patch: join(pair.directory, 'none'), output: outputs(pair)[0]! }, [
    'not-found',
  ]);
  await assertRefused(pair, { patch: pair.source, output: outputs(pair)[0]! }, ['not-found']);
});

test('applying a patch to a target over maxImageSize fails', async (t) => {
  const pair = await makePair(t);
  const before = await snapshot(pair.directory);
  const scratch = await temporaryDirectory(t);
  for (const format of FORMATS) {
    const sink = imageSink(parseDestination(`oci:${pair.directory}/new`));
    const limits = { ...DEFAULT_LIMITS, maxImageSize: Buffer.concat(releaseLayers(1, 2)).length - 1 };
    const task = { patch: pair.patches[format], sources: [pair.source], sink };
    const apply = applyPatchFile(task, { scratch, limits, signal: new AbortController().signal });
    await assert.rejects(apply, { kind: 'limit', message: /maxImageSize/ });
  }
  assert.deepEqual(await snapshot(pair.directory), before);
});
