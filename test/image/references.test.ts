/** References of images: one spelling everywhere, and suggestions for others. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseReference, splitTransport } from '../../lib/image/oci/reference.ts';
import { formatReleaseName, parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { absoluteReference, spelledOut } from '../../producers/question/references.ts';
import { temporaryDirectory } from '../support/directory.ts';

describe('a name with a host', () => {
  for (const name of [
    'registry.example/app:2.0',
    'localhost/app',
    'localhost:5000/team/app:1',
    'registry:5000/app',
    `registry.example/app@sha256:${'0'.repeat(64)}`,
  ]) {
    test(`${name} is an image of a registry`, async () => {
      assert.deepEqual(await parseReference(name), { transport: 'docker', path: name });
      assert.equal(absoluteReference(name), `docker://${name}`);
    });
  }

  test('is a path if a file has it', async (t) => {
    const directory = await temporaryDirectory(t);
    const path = join(directory, 'registry.example', 'app:2.0');
    await mkdir(join(directory, 'registry.example'));
    await writeFile(path, '');
    assert.equal((await parseReference(path)).transport, 'docker-archive');
    assert.equal(spelledOut(path), path);
  });

  test('is taken with docker:// where a name is', () => {
    const name = parseReleaseName('docker://registry.example/app:2.0');
    assert.equal(formatReleaseName(name), 'registry.example/app:2.0');
  });
});

describe('a name without a host', () => {
  test('is refused, with a suggestion', async () => {
    for (const name of ['nginx', 'team/app']) {
      const message = new RegExp(`^no such image; did you mean docker://${name}\\?: expected a path`);
      await assert.rejects(parseReference(name), { kind: 'not-found', message });
    }
    const message = /^unknown transport; did you mean docker:\/\/nginx:1\.25\?: /;
    assert.throws(() => splitTransport('nginx:1.25'), { kind: 'usage', message });
  });

  test('gets no suggestion if it reads as a path', async () => {
    for (const path of ['./nginx', '/images/app', 'images/app.tar']) {
      await assert.rejects(parseReference(path), { kind: 'not-found', message: /^no such image: expected/ });
    }
  });
});
