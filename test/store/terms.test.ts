/** Expiry and store of names, and signatures of several keys, at owners and at sites. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { checkStore } from '../../lib/retention/check.ts';
import { trustName, type NameSite } from '../../lib/site/offers/accepted.ts';
import {
  generateKeys,
  readSigningKeys,
  readVerifyKeys,
  signaturesOf,
  type NameTerms,
} from '../../lib/store/key.ts';
import { keys } from '../../lib/store/keys.ts';
import { nameDocument, nameStatement, parseName, readNameAt, type NameRecord } from '../../lib/store/name.ts';
import { renewNames, writeName } from '../../lib/store/naming.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { panamax, panamaxJson } from '../support/commands.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { target } from '../support/target.ts';

const DAY = 24 * 3600 * 1000;
const PLATFORM = 'linux/amd64';
const NAME = parseReleaseName('registry.example/team/app:stable');
const KEY = keys.name(NAME.repository, NAME.tag!, PLATFORM);

async function setUp(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const store = await openDirectoryStore(join(directory, 'store'));
  const path = (name: string) => join(directory, name);
  for (const name of ['old', 'new']) {
    const { privateKey, publicKey } = generateKeys();
    await writeFile(path(`${name}.key`), privateKey);
    await writeFile(path(`${name}.pub`), publicKey);
  }
  const sign = (terms: NameTerms = {}, ...names: readonly string[]) =>
    readSigningKeys(
      (names.length > 0 ? names : ['old']).map((name) => path(`${name}.key`)),
      terms,
    );
  const verify = (...names: readonly string[]) => readVerifyKeys(names.map((name) => path(`${name}.pub`)));
  let sites = 0;
  return {
    store,
    sign,
    verify,
    plant: (record: NameRecord) => store.put(KEY, nameDocument(record)),
    write: async (digit: string, terms?: NameTerms, resetSequence?: boolean) =>
      writeName(store, NAME, PLATFORM, target(digit), {
        sign: await sign(terms),
        ...(resetSequence && { resetSequence }),
      }),
    site: async (more: Partial<NameSite> = {}): Promise<NameSite> => ({
      state: path(`site-${sites++}`),
      keepsNames: true,
      verify: await verify('old'),
      ...more,
    }),
    /** Signs changed facts. */
    resign: async (record: NameRecord) => ({ ...record, ...(await sign())(nameStatement(record)) }),
  };
}

const accept = (record: NameRecord, site: NameSite) =>
  trustName(parseName(nameDocument(record), 'here'), site, 'here');

test('a name signed by two keys is accepted by sites that trust either, and by no others', async (t) => {
  const { store, sign, site, verify } = await setUp(t);
  const record = await writeName(store, NAME, PLATFORM, target('1'), { sign: await sign({}, 'old', 'new') });
  // sites that know one signature read the first
  assert.equal(record.signature!.key, (await sign()).call(undefined, '').signature!.key);
  assert.equal(record.signatures!.length, 1);
  for (const names of [['old'], ['new'], ['new', 'old']]) {
    await accept(record, await site({ verify: await verify(...names) }));
  }
  const { signatures: _, ...stripped } = record;
  const untrusted = { kind: 'untrusted', message: /not signed by a key that is trusted/ };
  await assert.rejects(accept(stripped, await site({ verify: await verify('new') })), untrusted);
  // a signature under another key's ID is none
  const swapped = { ...stripped, signature: { ...record.signature!, key: record.signatures![0]!.key } };
  const wrong = { kind: 'untrusted', message: /the signature is not of what is said/ };
  await assert.rejects(accept(swapped, await site({ verify: await verify('new') })), wrong);
  // a bad signature of a trusted key does not hide a good one
  const noise = { ...record, signatures: [{ ...record.signature!, value: 'AAAA' }, ...record.signatures!] };
  await accept(noise, await site({ verify: await verify('new') }));

  // the old key is retired
  const next = await writeName(store, NAME, PLATFORM, target('1'), { sign: await sign({}, 'new') });
  assert.equal(next.sequence, record.sequence);
  assert.deepEqual(signaturesOf(next), record.signatures);
});

test('a record with more signatures than anybody needs is refused before they are read', async (t) => {
  const { write } = await setUp(t);
  const { signature, ...record } = await write('1');
  const many = {
    ...record,
    signature: signature!,
    signatures: Array.from({ length: 20_000 }, () => signature!),
  };
  const refused = { kind: 'bad-input', message: /expected at most 7 further signatures, found an array/ };
  assert.throws(() => parseName(nameDocument(many), 'here'), refused);
});

test('an expired record is refused with its name, its expiry and the present time', async (t) => {
  const { write, site, resign } = await setUp(t);
  const record = await write('1', { lifetime: DAY });
  assert.ok(Math.abs(record.expires! - DAY - Date.now()) < 60_000);
  await accept(record, await site({ requireExpiry: true }));
  const expired = await resign({ ...record, expires: Date.parse('2026-01-02T03:04:05Z') });
  await assert.rejects(accept(expired, await site()), {
    kind: 'expired',
    message:
      /^the record of registry\.example\/team\/app:stable has expired \(.*clock is wrong\): expected a record that is valid at 20.*Z, the time of this machine, found expiry at 2026-01-02T03:04:05\.000Z, in here$/,
  });
  // without keys, too
  const { verify: _, ...open } = await site();
  await assert.rejects(accept(expired, open), { kind: 'expired' });
  for (const expires of [Date.now() + 400 * DAY, Number.MAX_SAFE_INTEGER]) {
    const refused = { kind: 'untrusted', message: /expires too late/ };
    await assert.rejects(accept(await resign({ ...record, expires }), await site()), refused);
  }
});

test('the terms of a signed record cannot be removed or changed', async (t) => {
  const { write, site } = await setUp(t);
  const record = await write('1', { lifetime: DAY, store: 'production' });
  await accept(record, await site({ storeName: 'production', requireExpiry: true }));
  const { expires: _, ...everlasting } = record;
  const { store: __, ...anywhere } = record;
  const { expires: ___, ...bare } = anywhere;
  const changed = [
    everlasting,
    anywhere,
    bare,
    { ...record, expires: record.expires! + 1 },
    { ...record, store: 'staging' },
  ];
  const untrusted = { kind: 'untrusted', message: /the signature is not of what is said/ };
  for (const other of changed) await assert.rejects(accept(other, await site()), untrusted);
  // under the version that has no terms
  const text = String(nameDocument(record)).replace('"version": 2', '"version": 1');
  const downgraded = parseName(Buffer.from(text), 'here');
  await assert.rejects(trustName(downgraded, await site(), 'here'), untrusted);
  // of two fields of one name a reader takes the last, and checks that one
  const twice = String(nameDocument(record)).replace(
    '"expires"',
    `"expires": ${Date.now() + 2 * DAY}, "expires"`,
  );
  await trustName(parseName(Buffer.from(twice), 'here'), await site(), 'here');
  const late = String(nameDocument(record)).replace(
    /"expires": \d+/,
    `$&, "expires": ${Date.now() + 2 * DAY}`,
  );
  await assert.rejects(trustName(parseName(Buffer.from(late), 'here'), await site(), 'here'), untrusted);
});

test('a site refuses the name of another store, once told or once accepted', async (t) => {
  const { write, site, resign } = await setUp(t);
  const record = await write('1', { store: 'production' });
  const staging = await resign({ ...record, store: 'staging', sequence: record.sequence + 1 });
  const { store: _, ...older } = record;
  const bare = await resign({ ...older, sequence: record.sequence + 1 });
  const told = await site({ storeName: 'production' });
  const taught = await site();
  await accept(record, taught);
  for (const other of [staging, bare]) {
    const another = { kind: 'untrusted', message: /is for another store/ };
    await assert.rejects(accept(other, told), another);
    await assert.rejects(accept(other, taught), another);
  }
  await accept(staging, { ...taught, storeName: 'staging' });
  // a site that has seen neither learns the first
  await accept(bare, await site());
});

test('a site that has accepted an expiry does not take the same record without one', async (t) => {
  const { write, site, resign } = await setUp(t);
  const plain = await write('1');
  const record = await write('1', { lifetime: DAY });
  assert.equal(record.sequence, plain.sequence);
  const place = await site();
  await accept(plain, place);
  await accept(record, place);
  await assert.rejects(accept(plain, place), { kind: 'untrusted', message: /was accepted with an expiry/ });
  const strict = await site({ requireExpiry: true });
  await assert.rejects(accept(plain, strict), { kind: 'untrusted', message: /does not expire/ });
  // the owner may end the expiry: with a sequence of its own
  const ended = await write('1', { lifetime: 'never' });
  assert.ok(ended.sequence > record.sequence && ended.expires === undefined);
  await accept(ended, place);
  await accept(await resign({ ...record, sequence: ended.sequence + 1 }), place);
});

test('an owner keeps a record for half of its lifetime, and never loses its terms by a forgotten option', async (t) => {
  const { write, plant, resign } = await setUp(t);
  const terms = { lifetime: 10 * DAY, store: 'production' };
  const first = await write('1', terms);
  assert.deepEqual(await write('1', terms), first);
  await plant(await resign({ ...first, expires: Date.now() + 4 * DAY }));
  const renewed = await write('1', terms);
  assert.ok(renewed.expires! >= first.expires! && renewed.sequence === first.sequence);
  for (const digit of ['1', '2']) {
    await assert.rejects(write(digit, { store: 'production' }), {
      kind: 'usage',
      message: /--expires never/,
    });
    await assert.rejects(write(digit, { ...terms, store: 'staging' }), {
      kind: 'usage',
      message: /another store/,
    });
    await assert.rejects(write(digit, { lifetime: DAY }), {
      kind: 'usage',
      message: /--store-name production/,
    });
  }
  assert.equal((await write('2', { ...terms, store: 'staging' }, true)).store, 'staging');
});

test('check and status tell names that have expired and names that will within a week', async (t) => {
  const { store, write, plant, resign } = await setUp(t);
  const status = async () => {
    const { expiring } = await panamaxJson<{ expiring: unknown }>('status', '--store', store.where);
    return expiring;
  };
  const { signal } = new AbortController();
  const check = async () => {
    const { faults, expiring } = await checkStore(store, { readData: false, signal });
    return { expired: faults.filter(({ kind }) => kind === 'expired').map(({ key }) => key), expiring };
  };
  const record = await write('1', { lifetime: 10 * DAY });
  assert.deepEqual(await check(), { expired: [], expiring: [] });
  const expires = Date.now() + DAY;
  await plant(await resign({ ...record, expires }));
  const { name, platform } = record;
  const soon = [{ name, platform, expires: new Date(expires).toISOString() }];
  assert.deepEqual(await check(), { expired: [], expiring: soon });
  assert.deepEqual(await status(), [{ ...soon[0], isExpired: false }]);
  const passed = Date.now() - 1;
  await plant(await resign({ ...record, expires: passed }));
  assert.deepEqual(await check(), { expired: [KEY], expiring: [] });
  const late = { name, platform, expires: new Date(passed).toISOString(), isExpired: true };
  assert.deepEqual(await status(), [late]);
  const { stdout } = await panamax('status', '--store', store.where);
  assert.match(stdout, /^no runs\n.*app:stable linux\/amd64 expired at 20.*: sites refuse it until/m);
});

test('renewal signs own names anew, and refuses an expired one and one that somebody has put back', async (t) => {
  const { store, write, plant, resign, sign } = await setUp(t);
  const { signal } = new AbortController();
  const terms = { lifetime: 10 * DAY };
  const renew = async () => {
    const [renewal, ...others] = await renewNames(store, await sign(terms), signal);
    assert.deepEqual(others, []);
    return renewal!;
  };
  const first = await write('1', terms);
  assert.equal((await renew()).outcome, 'kept');
  await plant(await resign({ ...first, expires: Date.now() + DAY }));
  const { outcome, record } = await renew();
  assert.equal(outcome, 'renewed');
  assert.equal(record.sequence, first.sequence);
  assert.deepEqual(await readNameAt(store, KEY), record);

  await plant(await resign({ ...first, expires: Date.now() - 1 }));
  assert.match((await renew()).why!, /has expired/);
  await plant(first);
  await write('2', terms);
  await plant(first);
  const put = await renew();
  assert.equal(put.outcome, 'refused');
  assert.match(put.why!, /older than a past one/);
  // another owner's names are not touched
  assert.deepEqual(await renewNames(store, await sign(terms, 'new'), signal), []);
});
