/** One flipped bit in every kind of stored object: it is found, repaired or told, and stops no other command. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Digest } from '../../lib/digest.ts';
import { EXIT_CODES } from '../../lib/errors.ts';
import type { CheckReport } from '../../lib/retention/check.ts';
import { checkStore } from '../../lib/retention/check.ts';
import { repairStore } from '../../lib/retention/repair.ts';
import { keepAttachments } from '../../lib/store/attached/attachments.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { serializeCalibrations } from '../../lib/pairing/calibration.ts';
import { keys } from '../../lib/store/keys.ts';
import { panamax } from '../support/commands.ts';
import { panamax as panamaxAlone } from '../support/panamax.ts';
import { makeCosignKey, MANIFEST_TYPE, signSimple } from '../support/cosign.ts';
import { makeSiteStore, NAME } from '../support/sitestore.ts';

const { signal } = new AbortController();

async function check(directory: string, readData = true): Promise<CheckReport> {
  return checkStore(await openDirectoryStore(directory), { readData, signal });
}

/** Keys of a store, one for each kind of object. */
async function oneOfEachKind(store: string): Promise<Map<string, string>> {
  const kinds = new Map<string, string>();
  for (const item of await readdir(store, { recursive: true, withFileTypes: true })) {
    if (!item.isFile()) continue;
    const key = join(item.parentPath, item.name).slice(store.length + 1);
    const kind = key
      .replaceAll(/sha256-[0-9a-f]{64}/g, 'DIGEST')
      .replace(/^runs\/[^/]+/, 'runs/ID')
      .replace(/[0-9a-f]{32}|[0-9a-f]{16}|\d{16}|\d{6}/, 'N');
    if (!kinds.has(kind)) kinds.set(kind, key);
  }
  return kinds;
}

test('a flipped bit in any kind of object is found and stops no other command', async (t) => {
  const { store, directory, site, images } = await makeSiteStore(t, { count: 3 });
  const { manifestDigest } = images[0]!;
  const manifest = await readFile(join(directory, '1', 'blobs', 'sha256', manifestDigest.slice(7)), 'utf8');
  const signed = signSimple(manifestDigest, makeCosignKey());
  await keepAttachments(await openDirectoryStore(store), {
    target: manifestDigest as Digest,
    manifest,
    indexes: [],
    artifacts: [
      {
        subject: manifestDigest as Digest,
        mediaType: MANIFEST_TYPE,
        digest: signed.digest as Digest,
        document: String(signed.manifest),
      },
    ],
    blobs: signed.blobs as ReadonlyMap<Digest, Buffer>,
    left: [],
  });
  assert.deepEqual((await check(store)).faults, []);
  const kinds = await oneOfEachKind(store);
  assert.ok(kinds.size >= 15, [...kinds.keys()].join('\n'));
  const sound = join(directory, 'sound');
  await cp(store, sound, { recursive: true });

  for (const [kind, key] of kinds) {
    await t.test(kind, async () => {
      await rm(store, { recursive: true });
      await cp(sound, store, { recursive: true });
      const bytes = await readFile(join(store, key));
      // the middle of binary objects; the first byte of documents, which ends their syntax
      bytes[key.endsWith('.json') ? 0 : bytes.length >> 1]! ^= 1;
      await writeFile(join(store, key), bytes);

      if (!kind.endsWith('/heartbeat.json')) {
        const report = await check(store);
        assert.ok(report.faults.length > 0, 'no fault was found');
        assert.ok(
          report.faults.every((fault) => fault.key === key || fault.target !== undefined),
          JSON.stringify(report.faults),
        );
        const opened = await openDirectoryStore(store);
        const repaired = await repairStore(opened, report, new Date(), signal);
        const after = await check(store);
        const told = new Set(repaired.left.map((fault) => fault.key));
        assert.deepEqual(
          after.faults.filter((fault) => !told.has(fault.key)),
          [],
        );
        await writeFile(join(store, key), bytes);
      }
    });
  }

  // all kinds at once, but in objects of the first image and of its runs only
  await rm(store, { recursive: true });
  await cp(sound, store, { recursive: true });
  const other = images[1]!.manifestDigest.replace(':', '-');
  for (const item of await readdir(store, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath, item.name);
    if (!item.isFile() || path.includes(`/${other}`) || path.includes('@2/')) continue;
    const bytes = await readFile(path);
    bytes[0]! ^= 1;
    await writeFile(path, bytes);
  }
  const options = ['--store', store];
  const found = await panamax('check', ...options, '--json');
  assert.equal(found.code, EXIT_CODES.partial, found.stderr);
  for (const command of [
    ['status', ...options],
    ['gc', '--keep-last', '1', '--unnamed', '--grace', '0', '--apply', ...options],
    [
      'pull',
      `${NAME}:2`,
      '--engine',
      'none',
      '--source',
      join(directory, '1'),
      '--platform',
      'linux/amd64',
      '--output',
      `oci:${join(directory, 'out')}`,
      ...site,
      ...options,
    ],
  ]) {
    const { code, stderr } = await panamax(...command);
    assert.equal(code, 0, `${command[0]}: ${stderr}`);
  }
});

/** Some bits of a document that can be flipped so that it stays valid JSON. */
function silentBits(bytes: Buffer): number[] {
  const bits: number[] = [];
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    try {
      JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(flipped(bytes, bit)));
      bits.push(bit);
    } catch {
      // found by any parser
    }
    if (bytes.length > MAX_TRIED) bit += Math.floor(bytes.length / MAX_TRIED);
  }
  return Array.from({ length: SILENT }, (_, i) => bits[Math.floor(((i + 0.5) * bits.length) / SILENT)]!);
}

const MAX_TRIED = 500;
const SILENT = 3;

function flipped(bytes: Buffer, bit: number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged[bit >> 3]! ^= 1 << (bit & 7);
  return damaged;
}

test('a flipped bit that leaves valid JSON is found in any kind of document, and repaired or told', async (t) => {
  const { store } = await makeSiteStore(t, { count: 2 });
  await writeFile(
    join(store, keys.calibration),
    serializeCalibrations({ xdelta: { changed: 1.5, new: 0.75 } }),
  );
  const opened = await openDirectoryStore(store);
  const kinds = [...(await oneOfEachKind(store))].filter(([, key]) => key.endsWith('.json'));
  assert.ok(kinds.length >= 12, kinds.join('\n'));
  for (const [kind, key] of kinds) {
    const sound = await readFile(join(store, key));
    for (const bit of silentBits(sound)) {
      await writeFile(join(store, key), flipped(sound, bit));
      const { faults } = await check(store, false);
      assert.ok(
        faults.some((fault) => fault.key === key),
        `${kind}: bit ${bit} of ${sound.toString()}`,
      );
    }
    const report = await check(store, false);
    const { removed, rewritten, left } = await repairStore(opened, report, new Date(), signal);
    assert.ok([...removed, ...rewritten, ...left.map((fault) => fault.key)].includes(key), kind);
    await writeFile(join(store, key), sound);
  }
});

test('check --verify-key tells objects that no trusted key has signed', async (t) => {
  const { store, directory } = await makeSiteStore(t, { count: 2, sign: true });
  const check = async (key: string) => {
    const options = ['--store', store, '--json', '--verify-key', join(directory, key)];
    const { code, stdout } = await panamax('check', ...options);
    return { code, ...(JSON.parse(stdout) as { faults: { key: string; kind: string }[]; advice: string[] }) };
  };
  assert.deepEqual([(await check('owner.pub')).code, (await check('owner.pub')).faults], [0, []]);
  await panamax('keygen', join(directory, 'other'));
  const { code, faults } = await check('other.pub');
  assert.equal(code, EXIT_CODES.partial);
  assert.deepEqual(new Set(faults.map(({ kind }) => kind)), new Set(['untrusted']));
  const parts = new Set(faults.map(({ key }) => key.split('/')[0]));
  assert.deepEqual(parts, new Set(['index', 'names', 'patches']));
});

test('a missing patch is told, and repaired by an index without it', async (t) => {
  const { store } = await makeSiteStore(t, { count: 3 });
  const patch = [...(await oneOfEachKind(store)).values()].find((key) => key.endsWith('.xdelta'))!;
  await rm(join(store, patch));
  const options = ['--store', store, '--json'];
  const { code, stdout } = await panamax('check', ...options);
  assert.equal(code, EXIT_CODES.partial);
  const { faults, advice } = JSON.parse(stdout) as {
    faults: { key: string; kind: string }[];
    advice: string[];
  };
  assert.deepEqual(
    faults.map(({ key, kind }) => [key, kind]),
    [[patch, 'missing']],
  );
  assert.match(advice[0]!, /^panamax enqueue /);
  assert.equal((await panamaxAlone('check', '--repair', ...options)).code, 0);
  assert.equal((await panamaxAlone('check', ...options)).code, 0);
});
