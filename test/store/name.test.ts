/** Records of names: which earlier record decides the sequence of the next one. */
import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { trustName } from '../../lib/site/offers/accepted.ts';
import { generateKeys, readSigningKeys } from '../../lib/store/key.ts';
import { keys } from '../../lib/store/keys.ts';
import { nameDocument, nameStatement, readNameAt, type NameRecord } from '../../lib/store/name.ts';
import { writeName } from '../../lib/store/naming.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { target } from '../support/target.ts';

const DAY = 24 * 3600 * 1000;
const PLATFORM = 'linux/amd64';
const NAME = parseReleaseName('registry.example/team/app:stable');
const OTHER = parseReleaseName('registry.example/team/app:other');
const KEY = keys.name(NAME.repository, NAME.tag!, PLATFORM);

async function setUp(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const store = await openDirectoryStore(join(directory, 'store'));
  const makeKey = async (name: string) => {
    await writeFile(join(directory, name), generateKeys().privateKey);
    return readSigningKeys([join(directory, name)]);
  };
  const [owner, other] = [await makeKey('owner'), await makeKey('other')];
  const plant = (record: NameRecord) => store.put(KEY, nameDocument(record));
  return { directory, store, owner, other, plant };
}

const isNow = ({ sequence }: NameRecord) => Math.abs(sequence - Date.now()) < 60_000;

test('a record that the owner has not signed does not decide the next sequence', async (t) => {
  const { store, owner, other, plant } = await setUp(t);
  const first = await writeName(store, NAME, PLATFORM, target('1'), { sign: owner });
  const forged = { ...first, sequence: 2 ** 53 - 2 };
  const { signature: _, ...unsigned } = forged;
  const planted: readonly NameRecord[] = [
    unsigned,
    // of the true record
    forged,
    { ...forged, ...other(nameStatement(forged)) },
    { ...unsigned, target: target('2') },
  ];
  for (const record of planted) {
    await plant(record);
    const next = await writeName(store, NAME, PLATFORM, target('2'), { sign: owner });
    assert.ok(isNow(next), String(next.sequence));
    assert.deepEqual(await readNameAt(store, KEY), next);
    owner.verify(nameStatement(next), next, 'here');
  }
});

test("the owner's own record of another name does not decide the next sequence", async (t) => {
  const { store, owner, plant } = await setUp(t);
  await plant(await writeName(store, OTHER, PLATFORM, target('1'), { sign: owner }));
  const next = await writeName(store, NAME, PLATFORM, target('1'), { sign: owner });
  assert.equal(next.name, 'registry.example/team/app:stable');
  assert.ok(isNow(next));
});

test("the owner's own record decides the next sequence, and stays for the same target", async (t) => {
  const { store, owner, plant } = await setUp(t);
  const write = (digit: string) => writeName(store, NAME, PLATFORM, target(digit), { sign: owner });
  const first = await write('1');
  assert.deepEqual(await write('1'), first);
  // the clock of another machine was an hour ahead
  const ahead = { ...first, sequence: Date.now() + 3600_000 };
  await plant({ ...ahead, ...owner(nameStatement(ahead)) });
  assert.equal((await write('2')).sequence, ahead.sequence + 1);
});

for (const isSigned of [true, false]) {
  test(`a sequence of the future is refused until it is reset, ${isSigned ? 'signed' : 'unsigned'}`, async (t) => {
    const { directory, store, owner, plant } = await setUp(t);
    const site = { state: directory, keepsNames: true };
    const sign = isSigned ? owner : undefined;
    const first = await writeName(store, NAME, PLATFORM, target('1'), { sign });
    const future = { ...first, sequence: Date.now() + DAY + 60_000 };
    const record = sign ? { ...future, ...sign(nameStatement(future)) } : future;
    await plant(record);
    const refused = { kind: 'untrusted', message: /is of the future: expected .*, found \d+, in / };
    await assert.rejects(writeName(store, NAME, PLATFORM, target('2'), { sign }), refused);
    assert.deepEqual(await readNameAt(store, KEY), record);
    await assert.rejects(trustName(record, site, 'here'), refused);
    assert.deepEqual(
      (await readdir(directory)).filter((name) => name === 'names'),
      [],
    );

    const next = await writeName(store, NAME, PLATFORM, target('2'), { sign, resetSequence: true });
    assert.ok(isNow(next));
    await trustName(next, site, 'here');
  });
}

test('refuses names with line feeds', () => {
  for (const name of ['team/app\n', 'team/app:1\n', 'team\n/app:1', '\n']) {
    assert.throws(() => parseReleaseName(name), { kind: 'usage' });
  }
});
