import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { PanamaxError } from '../../../lib/errors.ts';
import { createTlsh, parseTlsh, tlshDistance } from '../../../lib/pairing/signature/tlsh.ts';
import { missing } from '../../support/programs.ts';

const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1024 ** 2;

/** Pseudo-random bytes, the same for the same seed. */
function noise(size: number, seed = 0): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(seed);
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), iv).update(Buffer.alloc(size));
}

function digestOf(...chunks: Uint8Array[]): string | null {
  const hasher = createTlsh();
  for (const chunk of chunks) hasher.update(chunk);
  return hasher.digest();
}

/** The reference program's digests, in the order of the inputs. */
async function referenceDigests(inputs: readonly Uint8Array[]): Promise<(string | null)[]> {
  const directory = await mkdtemp(join(tmpdir(), 'panamax-tlsh-'));
  try {
    for (const [i, input] of inputs.entries()) await writeFile(join(directory, `${i}`), input);
    const { stdout } = await run('tlsh', ['-r', directory], { maxBuffer: MAX_OUTPUT });
    const digests = new Map<number, string>();
    for (const line of stdout.trimEnd().split('\n')) {
      const [digest, path] = line.split('\t');
      digests.set(Number(basename(path!)), digest!);
    }
    return inputs.map((_, i) => digests.get(i) ?? null);
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function assertLikeReference(inputs: readonly Uint8Array[]): Promise<(string | null)[]> {
  const expected = await referenceDigests(inputs);
  for (const [i, input] of inputs.entries()) {
    assert.equal(digestOf(input), expected[i], `input ${i} of ${input.length} bytes`);
  }
  return expected;
}

test('makes a known digest', () => {
  const text = Array.from({ length: 1000 }, (_, i) => `${i} squared is ${i * i}\n`).join('');
  assert.equal(
    digestOf(Buffer.from(text)),
    '8BA210B8B81E987D0FABE305511A0BFBF319C5F46374865F9831949C28FB61247A760B',
  );
});

const skip = missing('tlsh');

test('agrees with the reference on short noise', { skip }, async () => {
  const inputs = Array.from({ length: 601 }, (_, size) => noise(size, size));
  const expected = await assertLikeReference(inputs);
  assert.equal(expected[255], null);
  assert.notEqual(expected[256], null);
});

test('agrees with the reference on uniform content', { skip }, async () => {
  const inputs: Uint8Array[] = [];
  for (const size of [256, 1000, 100_000]) {
    for (let symbols = 1; symbols <= 24; symbols++) {
      inputs.push(noise(size, symbols).map((byte) => byte % symbols));
      inputs.push(Buffer.alloc(size, noise(symbols)));
    }
  }
  const expected = await assertLikeReference(inputs);
  assert.ok(expected.includes(null) && expected.some((digest) => digest !== null));
});

test('agrees with the reference around each step of the logarithmic size', { skip }, async () => {
  const last = [291, 437, 656, 854, 1110, 1443, 1876, 2439, 3171];
  for (let step = 3475.588; step < 400_000; step *= 1.1) last.push(Math.floor(step));
  const sizes = last.flatMap((size) => [size - 1, size, size + 1, size + 2]).concat(3199, 3200);
  const content = noise(400_010);
  const expected = await assertLikeReference(sizes.map((size) => content.subarray(0, size)));
  const classes = new Set(expected.map((digest) => parseTlsh(digest!).sizeClass));
  assert.equal(classes.size, last.length + 1);
});

test('agrees with the reference on programs, libraries and texts', { skip }, async () => {
  const paths = [
    '/usr/bin',
    '/usr/share/dict',
    import.meta.dirname,
    join(import.meta.dirname, '../../../lib/image'),
  ];
  const inputs: Buffer[] = [await readFile(join(import.meta.dirname, '../../../package-lock.json'))];
  for (const directory of paths) {
    for (const name of (await readdir(directory).catch(() => [])).slice(0, 60)) {
      const path = join(directory, name);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() && found.size < 1024 ** 2) inputs.push(await readFile(path));
    }
  }
  assert.ok(inputs.length > 20);
  await assertLikeReference(inputs);
});

test('does not depend on chunks, and does not keep their buffers', () => {
  const content = noise(300_000);
  fc.assert(
    fc.property(
      fc.nat({ max: content.length }),
      fc.array(fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 140_000 })), { maxLength: 40 }),
      (size, lengths) => {
        const hasher = createTlsh();
        let at = 0;
        for (const length of [...lengths, size]) {
          const chunk = Buffer.from(content.subarray(at, Math.min(at + length, size)));
          hasher.update(chunk);
          chunk.fill(0);
          at = Math.min(at + length, size);
        }
        assert.equal(hasher.digest(), digestOf(content.subarray(0, size)));
      },
    ),
    { numRuns: 60 },
  );
});

test('gives a digest at any time, independent of other hashers', () => {
  const contents = [noise(200_000, 1), noise(200_000, 2)];
  const hashers = contents.map(() => createTlsh());
  let fed = 0;
  for (const size of [3, 5, 300, 65_535, 65_536, 65_537, 131_071, 199_999]) {
    for (const [i, hasher] of hashers.entries()) {
      hasher.update(contents[i]!.subarray(fed, size));
      assert.equal(hasher.digest(), digestOf(contents[i]!.subarray(0, size)));
    }
    fed = size;
  }
});

/** All pairs of a list with the distance by the reference program. */
async function referenceDistances(digests: readonly string[], ...options: string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'panamax-tlsh-'));
  try {
    const list = join(directory, 'list');
    await writeFile(list, digests.map((digest, i) => `${digest}\t${i}\n`).join(''));
    const { stdout } = await run('tlsh', ['-xref', '-l', list, ...options], { maxBuffer: MAX_OUTPUT });
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t').map(Number) as [number, number, number]);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('agrees with the reference on distances, with and without length', { skip }, async () => {
  const digests: string[] = [];
  // any 35 bytes are a digest, and these reach every length, ratio and quarter
  for (let i = 0; i < 60; i++) digests.push(noise(35, i).toString('hex').toUpperCase());
  // related contents, of growing length and with growing damage
  const content = noise(50_000, 99);
  for (let i = 0; i < 30; i++) {
    digests.push(digestOf(content.subarray(0, 5000 + i * 1500))!);
    content.set(noise(i * 10, i), i * 500);
    digests.push(digestOf(content)!);
  }
  for (const length of [true, false]) {
    const pairs = await referenceDistances(digests, ...(length ? [] : ['-xlen']));
    assert.equal(pairs.length, (digests.length * (digests.length - 1)) / 2);
    for (const [a, b, distance] of pairs) {
      assert.equal(
        tlshDistance(digests[a]!, digests[b]!, { length }),
        distance,
        `${digests[a]} ${digests[b]}`,
      );
      assert.equal(tlshDistance(digests[b]!, digests[a]!, { length }), distance);
    }
  }
});

test('counts the length in a distance by default', () => {
  const [short, long] = [digestOf(noise(1000))!, digestOf(noise(100_000))!];
  assert.ok(tlshDistance(short, long) > tlshDistance(short, long, { length: false }));
});

test('parses digests in lower case and with the version of current releases', () => {
  const digest = digestOf(noise(1000, 1))!;
  const other = digestOf(noise(1000, 2))!;
  assert.deepEqual(parseTlsh(`T1${digest}`), parseTlsh(digest));
  assert.deepEqual(parseTlsh(digest.toLowerCase()), parseTlsh(digest));
  assert.equal(tlshDistance(`T1${digest}`, digest), 0);
  assert.equal(tlshDistance(`T1${digest}`, other.toLowerCase()), tlshDistance(digest, other));
});

function isRefusal(error: unknown): true {
  assert.ok(error instanceof PanamaxError);
  assert.equal(error.kind, 'bad-input');
  assert.ok(error.message.length < 500);
  return true;
}

test('refuses text that is not a digest', () => {
  const digest = digestOf(noise(1000))!;
  const malformed = [
    '',
    'T1',
    'TNULL',
    digest.slice(1),
    `${digest}0`,
    `${digest}\n`,
    ` ${digest}`,
    `T2${digest}`,
    `T1${digest.slice(2)}`,
    `G${digest.slice(1)}`,
    `\uff10${digest.slice(1)}`,
    '0'.repeat(1_000_000),
  ];
  for (const text of malformed) {
    assert.throws(() => parseTlsh(text), isRefusal, text);
    assert.throws(() => tlshDistance(digest, text), isRefusal, text);
    assert.throws(() => tlshDistance(text, digest), isRefusal, text);
  }
});
