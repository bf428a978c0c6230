/** Profiles are read and compared in threads, with the same results as in the calling thread. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { openImage } from '../../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../../lib/limits.ts';
import { compareHere } from '../../lib/pairing/comparestored.ts';
import { computeSignature } from '../../lib/pairing/signature/compute.ts';
import { parseProfile, serializeSignature } from '../../lib/pairing/signature/stored.ts';
import { compareStored, readProfile } from '../../lib/pairing/threads.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { createRandom } from '../support/random.ts';
import { fileScope } from '../support/scope.ts';
import { writeTar } from '../support/tar.ts';

/** Many small files, of which a quarter differs between releases. */
function layer(release: number): Buffer {
  return writeTar(
    Array.from({ length: 6000 }, (_, i) => ({
      path: `usr/${i % 50}/file-${i}`,
      content: createRandom(i % 4 === 0 ? i * release : i).text(60),
    })),
  );
}

const scope = fileScope();

describe('a thread', () => {
  const stored: Buffer[] = [];

  before(async () => {
    const directory = await temporaryDirectory(scope);
    for (const release of [1, 2]) {
      const path = join(directory, `${release}`);
      await writeLayout(path, [layer(release)], { compression: 'none' });
      const image = await openImage({ transport: 'oci', path }, { limits });
      stored.push(await serializeSignature(await computeSignature(image, limits)));
    }
  });

  test('reads and compares large profiles as the calling thread does', async () => {
    const [target, source] = await Promise.all(stored.map((bytes) => readProfile(bytes, 'here')));
    assert.deepEqual(
      [target, source],
      stored.map((bytes) => parseProfile(bytes, 'here')),
    );
    assert.ok(target!.table.byteLength + source!.table.byteLength > 512 * 1024, 'more than is compared here');
    for (const calibrations of [{}, { xdelta: { changed: 2, new: 0.5 } }]) {
      const task = { target: target!, sources: [source!], calibrations };
      const compared = await compareStored(task);
      assert.deepEqual(compared, compareHere(task));
      assert.ok(compared.candidate.identicalBytes > 0 && compared.candidate.changedBytes > 0);
    }
  });

  test('shares the memory of a table instead of copying it', async () => {
    const { table } = await readProfile(stored[0]!, 'here');
    assert.ok(table instanceof SharedArrayBuffer);
  });

  test('passes on the refusal of a damaged signature', async () => {
    const damaged = Buffer.from(stored[0]!);
    damaged[damaged.length - 1]! ^= 1;
    const refusal = {
      kind: 'bad-input',
      message: /damaged signature: it differs from its checksum: in here/,
    };
    await assert.rejects(readProfile(damaged, 'here'), refusal);
  });
});
