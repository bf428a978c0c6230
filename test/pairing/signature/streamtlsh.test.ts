/** TLSHs of the files in a stream, in two orders: reused counts give the same digests. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createStreamTlsh } from '../../../lib/pairing/signature/streamtlsh.ts';
import { createTlsh } from '../../../lib/pairing/signature/tlsh.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { createRandom } from '../../support/random.ts';

function plain(parts: readonly Uint8Array[]): string | null {
  const tlsh = createTlsh();
  for (const part of parts) tlsh.update(part);
  return tlsh.digest();
}

test('hashes layer by layer, then some of the files in another order', async (t) => {
  const path = join(await temporaryDirectory(t), 'stream');
  for (let seed = 1; seed <= 8; seed++) {
    const random = createRandom(seed);
    // many files are shorter than a window
    const size = () => random.below(random.below(3) === 0 ? 200_000 : 9);
    const files = Array.from({ length: 60 }, () => Buffer.from(random.text(size())));
    await writeFile(path, Buffer.concat(files));
    await using tlsh = createStreamTlsh(path);
    const stored = files.map((content, i) => ({
      content,
      entry: { size: content.length, bodySize: content.length },
      offset: files.slice(0, i).reduce((sum, { length }) => sum + length, 0),
    }));
    const [first, second] = [stored.slice(0, 25), stored.slice(25)];
    const digests = [first, second].map((layer) => {
      for (const { content, offset } of layer) {
        tlsh.add(offset, content.length >> 1);
        tlsh.add(offset + (content.length >> 1), content.length - (content.length >> 1));
        tlsh.endFile();
      }
      return tlsh.endLayer();
    });
    const left = seed === 1 ? stored : stored.filter(() => random.below(4) > 0);
    const order = left.toSorted(() => random.below(3) - 1);
    const rest = tlsh.reordered(
      order,
      stored.filter((file) => !left.includes(file)),
    );
    const contents = (list: typeof stored) => list.map(({ content }) => content);
    assert.deepEqual(await Promise.all(digests), [first, second].map(contents).map(plain));
    assert.equal(await rest, plain(contents(order)), `seed ${seed}`);
    assert.notEqual(await rest, null);
  }
});

test('hashes holes as zeros', async (t) => {
  const path = join(await temporaryDirectory(t), 'stream');
  const data = Buffer.from(createRandom(5).text(5000));
  await writeFile(path, data);
  await using tlsh = createStreamTlsh(path);
  const sparse = [
    { offset: 100, size: 2000 },
    { offset: 90_000, size: 3000 },
  ];
  const entry = { size: 95_000, bodySize: 5000, sparse };
  tlsh.addFile({ entry, offset: 0 });
  const content = Buffer.alloc(95_000);
  data.copy(content, 100, 0, 2000);
  data.copy(content, 90_000, 2000);
  assert.equal(await tlsh.endLayer(), plain([content]));
  assert.equal(await tlsh.reordered([{ entry, offset: 0 }], []), plain([content]));
});

test('fails for a stream that is shorter than announced', async (t) => {
  const path = join(await temporaryDirectory(t), 'stream');
  await writeFile(path, 'short');
  await using tlsh = createStreamTlsh(path);
  tlsh.add(0, 10);
  await assert.rejects(tlsh.endLayer(), {
    kind: 'io',
    message: /cannot hash the layer stream: the file ends at 5/,
  });
  await assert.rejects(tlsh.reordered([], []), { kind: 'io' });
});
