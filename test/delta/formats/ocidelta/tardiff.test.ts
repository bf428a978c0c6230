/** Tar-diff: encoder and decoder, with tar-diff and tar-patch as judges. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { PanamaxError } from '../../../../lib/errors.ts';
import { cutParts } from '../../../../lib/delta/formats/ocidelta/tardiff/parts.ts';
import { temporaryDirectory } from '../../../support/directory.ts';
import { findProgram, missing } from '../../../support/programs.ts';
import { createRandom } from '../../../support/random.ts';
import { AFTER, apply, BEFORE, diff, patchOf, store } from '../../../support/tardiff.ts';
import { writeTar } from '../../../support/tar.ts';

describe('encoding and decoding a tar-diff', () => {
  test('gives a small, reproducible patch for changed files', async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await store(directory, 'source', [writeTar(BEFORE)]);
    const target = await store(directory, 'target', [writeTar(AFTER)]);
    const patch = await diff(source, target);
    assert.ok(patch.length < 6_000, `${patch.length} bytes`);
    assert.deepEqual(patch, await diff(source, target));
    assert.deepEqual(await apply(patch, source.openFile, target.bytes.length), target.bytes);
  });

  test('copies from files of several layers, but not from hidden ones', async (t) => {
    const directory = await temporaryDirectory(t);
    const over = writeTar([{ path: 'etc/words', content: 'short' }, { path: 'etc/.wh.caf\u00c3\u00a9' }]);
    const source = await store(directory, 'source', [writeTar(BEFORE), over]);
    const target = await store(directory, 'target', [writeTar(AFTER)]);
    const patch = await diff(source, target);
    assert.ok(!zstdDecompressSync(patch.subarray(8)).includes(Buffer.from('\u0001\u0009etc/words')));
    assert.deepEqual(await apply(patch, source.openFile, target.bytes.length), target.bytes);
  });

  test('rebuilds random trees', async (t) => {
    const directory = await temporaryDirectory(t);
    for (let seed = 0; seed < 40; seed++) {
      const next = createRandom(seed);
      const contents = Array.from({ length: 6 }, () => next.bytes(next.below(6_000)));
      const tree = () =>
        writeTar(
          Array.from({ length: 8 }, (_, i) => {
            const content = Buffer.from(contents[next.below(contents.length)]!);
            for (let n = next.below(20); n > 0 && content.length > 0; n--)
              content[next.below(content.length)] = n;
            const cut = next.below(content.length + 1);
            return {
              path: `f${i}`,
              content: Buffer.concat([content.subarray(cut), content.subarray(0, cut)]),
            };
          }),
        );
      const source = await store(directory, `source${seed}`, [tree()]);
      const target = await store(directory, `target${seed}`, [tree()]);
      const built = await apply(await diff(source, target), source.openFile, target.bytes.length);
      assert.ok(built.equals(target.bytes), `seed ${seed}`);
    }
  });
});

test('parts adjoin, cover the layer and have about equal work', () => {
  const size = 200 * 1024 ** 2;
  const exact = {
    count: 1,
    target: Float64Array.of(10),
    source: Float64Array.of(0),
    length: Float64Array.of(size / 2),
    exact: Uint8Array.of(1),
  };
  const parts = cutParts(exact, 0, size);
  assert.equal(parts.length, 3);
  assert.equal(parts[0]!.start, 0);
  assert.equal(parts.at(-1)!.end, size);
  parts.slice(1).forEach((part, i) => assert.equal(part.start, parts[i]!.end));
  const none = { ...exact, count: 0 };
  assert.deepEqual(cutParts(none, 5, 9), [{ start: 5, end: 9 }]);
});

describe('decoding a damaged tar-diff', () => {
  const file = { size: 10, read: async (into: Uint8Array) => void into.fill(1) };
  const openFile = (path: string) => (path === 'a/b' ? file : undefined);
  const open = [1, 3, 'a/b'] as const;
  const cases: Record<string, [Buffer, 'bad-patch' | 'limit', RegExp]> = {
    'no magic': [Buffer.from('tardf2\n\0'), 'bad-patch', /no tar-diff of version 1/],
    empty: [Buffer.alloc(0), 'bad-patch', /no tar-diff/],
    'no frame': [Buffer.from('tardf1\n\0'), 'bad-patch', /is damaged: unexpected end of file/],
    'no zstd': [Buffer.from('tardf1\n\0nonsense'), 'bad-patch', /between frames/],
    'cut off': [patchOf(0, 5, 'hello').subarray(0, -3), 'bad-patch', /within a frame/],
    'unknown operation': [patchOf(9, 0), 'bad-patch', /unknown operation/],
    'data cut off': [patchOf(0, 5, 'he'), 'bad-patch', /ends early/],
    'copy without a file': [patchOf(2, 1), 'bad-patch', /before it opens/],
    'seek without a file': [patchOf(4, 1), 'bad-patch', /before it opens/],
    'file the source lacks': [patchOf(1, 1, 'x'), 'bad-patch', /source lacks/],
    'path out of the root': [patchOf(1, 6, '../a/c'), 'bad-patch', /source lacks/],
    'path of control characters': [patchOf(1, 3, '\u001b[2'), 'bad-patch', /\\x1b/],
    'copy beyond the end': [patchOf(...open, 2, 11), 'bad-patch', /beyond the end/],
    'differences beyond the end': [patchOf(...open, 3, 11, 'xxxxxxxxxxx'), 'bad-patch', /beyond the end/],
    'seek beyond the end': [patchOf(...open, 4, 11), 'bad-patch', /beyond the end/],
    'huge size': [patchOf(0, Buffer.alloc(9, 0xff), 1), 'bad-patch', /too large a size/],
    'endless size': [patchOf(0, Buffer.alloc(40, 0x80)), 'bad-patch', /too large a size/],
    'long path': [patchOf(1, 0x81, 0x20, Buffer.alloc(4097, 'x')), 'bad-patch', /too long a path/],
    'more than announced': [patchOf(0, 101, Buffer.alloc(101)), 'limit', /more than it should/],
    'only idle operations': [patchOf(Buffer.alloc(64 * 1024 ** 2)), 'bad-patch', /more operations/],
  };
  for (const [name, [patch, kind, message]] of Object.entries(cases)) {
    test(name, async () => {
      await assert.rejects(apply(patch, openFile, 100), (error) => {
        assert.ok(error instanceof PanamaxError, String(error));
        assert.equal(error.kind, kind);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  test('cleans paths as tar-diff does', async () => {
    assert.equal((await apply(patchOf(1, 9, '/.././a/b', 2, 4), openFile, 4)).length, 4);
  });
});

function run(directory: string, command: string, ...args: string[]): void {
  execFileSync(findProgram(command)!, args, { cwd: directory, stdio: 'pipe' });
}

describe('other implementations', () => {
  test('tar-patch applies a tar-diff of panamax', { skip: missing('tar-patch', 'tar') }, async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await store(directory, 'source.tar', [writeTar(BEFORE)]);
    const target = await store(directory, 'target.tar', [writeTar(AFTER)]);
    writeFileSync(join(directory, 'patch'), await diff(source, target));
    mkdirSync(join(directory, 'root'));
    run(directory, 'tar', 'xf', 'source.tar', '-C', 'root');
    run(directory, 'tar-patch', 'patch', 'root', 'out.tar');
    assert.ok(readFileSync(join(directory, 'out.tar')).equals(target.bytes));
  });

  test(
    'the oci-delta crate applies a tar-diff of panamax',
    { skip: missing('oci-delta-judge', 'tar') },
    async (t) => {
      const directory = await temporaryDirectory(t);
      const source = await store(directory, 'source.tar', [writeTar(BEFORE)]);
      const target = await store(directory, 'target.tar', [writeTar(AFTER)]);
      writeFileSync(join(directory, 'patch'), await diff(source, target));
      mkdirSync(join(directory, 'root'));
      run(directory, 'tar', 'xf', 'source.tar', '-C', 'root');
      run(directory, 'oci-delta-judge', 'tar-diff', 'patch', 'root', 'out.tar');
      assert.ok(readFileSync(join(directory, 'out.tar')).equals(target.bytes));
    },
  );

  test('panamax applies a patch of tar-diff', { skip: missing('tar-diff') }, async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await store(directory, 'source.tar', [writeTar(BEFORE)]);
    const target = await store(directory, 'target.tar', [writeTar(AFTER)]);
    run(directory, 'tar-diff', 'source.tar', 'target.tar', 'patch');
    const built = await apply(readFileSync(join(directory, 'patch')), source.openFile, target.bytes.length);
    assert.ok(built.equals(target.bytes));
  });
});
