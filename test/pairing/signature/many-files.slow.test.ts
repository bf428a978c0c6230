/** The memory of a signature of many small files. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { contentCount } from '../../../lib/pairing/signature/contents.ts';
import { parseSignature } from '../../../lib/pairing/signature/stored.ts';
import { signatureThread } from '../../../lib/pairing/signature/threads.ts';
import { runThread } from '../../../lib/runtime/thread.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { writeTar } from '../../support/tar.ts';

test('computing a signature takes little memory for many small files', async (t) => {
  const directory = await temporaryDirectory(t);
  const layer = Array.from({ length: 30_000 }, (_, i) => ({ path: `usr/${i % 300}/${i}`, content: `${i}` }));
  await writeLayout(join(directory, 'image'), [writeTar(layer)]);
  const scratch = join(directory, 'scratch');
  await mkdir(scratch);
  const task = { reference: join(directory, 'image'), limits: DEFAULT_LIMITS, scratch, summaries: [] };
  const { signal } = new AbortController();
  const { bytes } = await runThread(signatureThread, task, signal, 32 * 1024 ** 2);
  const { contents, files } = await parseSignature(bytes, 'here');
  assert.equal(contentCount(contents), layer.length);
  assert.equal(files.sizes.length, layer.length + 302);
});
