import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Digest } from '../../../lib/digest.ts';
import { download } from '../../../lib/site/offers/download.ts';
import { openDirectoryReader } from '../../../lib/store/objects/directory.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { digestOf } from '../../support/layout.ts';
import { createRandom } from '../../support/random.ts';

const PATCH = Buffer.from(createRandom(1).text(10_000));
const OTHER = Buffer.from(PATCH.map((byte, i) => (i === 5000 ? byte ^ 1 : byte)));

/** Downloads an object of a store into a file that has some bytes already. */
async function downloadTo(
  t: TestContext,
  object: Buffer,
  kept: Buffer,
): Promise<{ path: string; done: Promise<void> }> {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'patch'), object);
  const path = join(directory, 'part');
  if (kept.length > 0) await writeFile(path, kept);
  const wanted = { key: 'patch', size: PATCH.length, digest: digestOf(PATCH) as Digest };
  const { signal } = new AbortController();
  return { path, done: download(await openDirectoryReader(directory), wanted, path, signal) };
}

describe('a download', () => {
  for (const [kept, bytes] of [
    ['nothing', Buffer.alloc(0)],
    ['the first bytes', PATCH.subarray(0, 7000)],
    ['damaged first bytes', OTHER.subarray(0, 7000)],
    ['all bytes', PATCH],
    ['too many bytes', Buffer.concat([PATCH, PATCH])],
  ] as const) {
    test(`completes a file that has ${kept}`, async (t) => {
      const { path, done } = await downloadTo(t, PATCH, bytes);
      await done;
      assert.ok((await readFile(path)).equals(PATCH));
    });
  }

  for (const [difference, object] of [
    ['has another digest', OTHER],
    ['is too short', PATCH.subarray(1)],
    ['is too long', Buffer.concat([PATCH, PATCH])],
  ] as const) {
    test(`refuses an object that ${difference} and keeps nothing of it`, async (t) => {
      for (const kept of [Buffer.alloc(0), PATCH.subarray(0, 2000)]) {
        const { path, done } = await downloadTo(t, object, kept);
        await assert.rejects(done, { kind: 'bad-patch', message: /not the one that the index names/ });
        assert.equal((await readFile(path)).length, 0);
      }
    });
  }
});
