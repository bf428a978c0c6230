import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ownName } from '../../../lib/runtime/file.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { openS3Store } from '../../../lib/store/objects/s3.ts';
import { fileScope } from '../../support/scope.ts';
import { snapshot, temporaryDirectory } from '../../support/directory.ts';
import { noS3, startS3, type S3Server } from '../../support/s3.ts';
import { describeStore } from '../../support/storecontract.ts';

describeStore('directory', async (t) => openDirectoryStore(join(await temporaryDirectory(t), 'store')));

let server: Promise<S3Server> | undefined;
const scope = fileScope();
const s3 = () => (server ??= startS3(scope));
for (const prefix of ['', 'team/images/']) {
  const openStore = async () => {
    const { access, makeBucket } = await s3();
    return openS3Store(access, await makeBucket(), prefix);
  };
  describeStore(`S3, ${prefix ? 'below a prefix' : 'a whole bucket'}`, openStore, noS3());
}

describe('directory store', () => {
  test('keeps objects until it is opened again', async (t) => {
    const directory = join(await temporaryDirectory(t), 'deep', 'store');
    await (await openDirectoryStore(directory)).put('a/b', Buffer.from('kept'));
    assert.equal(String(await (await openDirectoryStore(directory)).get('a/b')), 'kept');
    assert.equal(await readFile(join(directory, 'a/b'), 'utf8'), 'kept');
  });

  test('removes temporary files of dead processes only', async (t) => {
    const directory = await temporaryDirectory(t);
    const temporary = join(directory, '.tmp');
    await openDirectoryStore(directory);
    const { pid } = spawnSync(process.execPath, ['--version']);
    const living = ownName();
    const elsewhere = `elsewhere.${pid}-1.abc`;
    const dead = [`${hostname()}.${pid}-1.abc`, living.replace(/-\d+/, '-1')];
    for (const name of [living, elsewhere, ...dead]) await writeFile(join(temporary, name), 'half');
    await openDirectoryStore(directory);
    assert.deepEqual((await readdir(temporary)).toSorted(), [living, elsewhere].toSorted());
  });

  test('leaves nothing behind a failed write', async (t) => {
    const directory = await temporaryDirectory(t);
    const store = await openDirectoryStore(directory);
    await store.put('a', Buffer.from('in the way'));
    const before = await snapshot(directory);
    await assert.rejects(store.put('a/b', Buffer.from('x')), { kind: 'io', message: /in store .*a\/b/ });
    await assert.rejects(store.putFile('c', directory), { kind: 'io' });
    assert.deepEqual(await snapshot(directory), before);
  });
});
