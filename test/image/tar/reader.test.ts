import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { TarEntry } from '../../../lib/image/tar/entry.ts';
import { scanTarFile } from '../../../lib/image/tar/file.ts';
import { scanTar } from '../../../lib/image/tar/scan.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { missing } from '../../support/programs.ts';
import { refusal, scan, scanOne } from '../../support/scan.ts';
import {
  BLOCK,
  latin1,
  paxBody,
  setNumber,
  setText,
  writeEntry,
  writeNumber,
  writeSpecial,
  writeTar,
  type SparseFormat,
  type TarFormat,
} from '../../support/tar.ts';

const LONG = `${'directory/'.repeat(20)}file`;

describe('reads entries', () => {
  test('with all metadata of every type', async () => {
    const common = { mode: 0o4751, uid: 1000, gid: 2000, mtime: 1_700_000_000 };
    const found = await scan([
      writeTar([
        { ...common, path: 'dir/' },
        { ...common, path: 'dir/file', content: 'content' },
        { ...common, path: 'link', type: 'symlink', linkPath: 'dir/file' },
        { ...common, path: 'hard', type: 'hardlink', linkPath: 'dir/file' },
        { ...common, path: 'char', type: 'char', devMajor: 1, devMinor: 3 },
        { ...common, path: 'block', type: 'block', devMajor: 8, devMinor: 300_000 },
        { ...common, path: 'fifo', type: 'fifo' },
      ]),
    ]);
    const facts = found.map(({ entry, content }) => [
      entry.path,
      entry.type,
      entry.linkPath,
      `${entry.devMajor}:${entry.devMinor}`,
      content.toString(),
    ]);
    assert.deepEqual(facts, [
      ['dir/', 'directory', '', '0:0', ''],
      ['dir/file', 'file', '', '0:0', 'content'],
      ['link', 'symlink', 'dir/file', '0:0', ''],
      ['hard', 'hardlink', 'dir/file', '0:0', ''],
      ['char', 'char', '', '1:3', ''],
      ['block', 'block', '', '8:300000', ''],
      ['fifo', 'fifo', '', '0:0', ''],
    ]);
    for (const { entry } of found) {
      const { mode, uid, gid, mtime } = entry;
      assert.deepEqual({ mode, uid, gid, mtime }, common);
    }
  });

  test('with long names in every format', async () => {
    for (const format of ['gnu', 'pax', 'ustar'] satisfies TarFormat[]) {
      assert.equal((await scanOne({ path: LONG, format })).entry.path, LONG, format);
    }
    const linkPath = '../'.repeat(50);
    for (const format of ['gnu', 'pax'] satisfies TarFormat[]) {
      const { entry } = await scanOne({ path: LONG, type: 'symlink', linkPath, format });
      assert.deepEqual([entry.path, entry.linkPath], [LONG, linkPath], format);
    }
    const full = 'n'.repeat(100);
    assert.equal((await scanOne({ path: full, format: 'v7' })).entry.path, full);
  });

  test('with names that are not UTF-8', async () => {
    const path = 'caf\xe9/\xff\xfe';
    assert.equal((await scanOne({ path, format: 'gnu' })).entry.path, path);
    assert.equal((await scanOne({ path: 'x', records: [['path', path]] })).entry.path, path);
  });

  test('with pax records over the header, GNU names over both, and empty records', async () => {
    const records = [
      ['path', 'from-pax'],
      ['uid', '4294967294'],
      ['gid', '70000'],
      ['mtime', '-12.5'],
      ['size', '3'],
      ['SCHILY.xattr.user.key', 'a=b\nc\0\xff'],
      ['SCHILY.xattr.user.empty', ''],
      ['LIBARCHIVE.xattr.user.other', 'eA=='],
      ['comment', 'ignored'],
    ] as const;
    const { entry, content } = await scanOne({
      path: 'p',
      content: 'abc',
      records,
      edit: setNumber(124, 12, 512),
    });
    assert.equal(entry.path, 'from-pax');
    assert.deepEqual([entry.uid, entry.gid, entry.mtime], [4294967294, 70000, -12.5]);
    assert.equal(content.toString(), 'abc');
    assert.deepEqual(
      [...entry.xattrs],
      [
        ['user.key', 'a=b\nc\0\xff'],
        ['user.empty', ''],
      ],
    );

    const both = Buffer.concat([writeSpecial('L', latin1('from-gnu\0')), writeTar([{ path: 'p', records }])]);
    assert.equal((await scan([both]))[0]!.entry.path, 'from-gnu');

    const withdrawn = await scanOne({
      path: 'p',
      uid: 7,
      records: [
        ['path', ''],
        ['uid', ''],
      ],
    });
    assert.deepEqual([withdrawn.entry.path, withdrawn.entry.uid], ['p', 7]);
  });

  test('without global pax headers, like engines', async () => {
    const tar = Buffer.concat([
      writeSpecial(
        'g',
        paxBody([
          ['path', 'no'],
          ['uid', '5'],
        ]),
      ),
      writeTar([{ path: 'p' }]),
    ]);
    const [found] = await scan([tar]);
    assert.deepEqual([found!.entry.path, found!.entry.uid, found!.entry.offset], ['p', 0, 0]);
  });

  test('with content only for files, also if others have a size', async () => {
    const edit = setNumber(124, 12, 5000);
    for (const type of ['directory', 'symlink', 'hardlink', 'char', 'fifo'] as const) {
      const found = await scan([writeTar([{ path: 'p', type, linkPath: 'x', edit }, { path: 'next' }])]);
      assert.deepEqual(
        found.map(({ entry }) => [entry.path, entry.size]),
        [
          ['p', 0],
          ['next', 0],
        ],
        type,
      );
    }
  });

  test('of old forms: contiguous files, v7 directories, signed checksums, base-256, prefixes with GNU magic', async () => {
    assert.equal(
      (await scanOne({ path: 'p', content: 'x', edit: setText(156, '7') })).content.toString(),
      'x',
    );
    assert.equal(
      (await scanOne({ path: 'p/', type: 'file', format: 'v7', edit: setText(156, '\0') })).entry.type,
      'directory',
    );
    assert.equal((await scanOne({ path: 'p/', type: 'file' })).entry.type, 'file');

    const signed = writeEntry({ path: '\xff\xfe' });
    signed.fill(' ', 148, 156);
    const sum = new Int8Array(signed).reduce((total, byte) => total + byte, 0);
    writeNumber(signed, 148, 8, sum);
    assert.equal((await scan([signed]))[0]!.entry.path, '\xff\xfe');

    const { entry } = await scanOne({ path: 'p', format: 'gnu', uid: 2 ** 31, gid: 2 ** 32 - 1, mtime: -1 });
    assert.deepEqual([entry.uid, entry.gid, entry.mtime], [2 ** 31, 2 ** 32 - 1, -1]);

    const edit = setText(345, 'some/prefix');
    assert.equal((await scanOne({ path: 'p', format: 'gnu', edit })).entry.path, 'some/prefix/p');
    const atime = setNumber(345, 12, 1_700_000_000);
    assert.equal((await scanOne({ path: 'p', format: 'gnu', edit: atime })).entry.path, 'p');
    // star stores atime and ctime after a shorter prefix
    const star = setText(345, `${'x'.repeat(131)}00000000000\0`.padEnd(163, '\0') + 'tar\0');
    assert.equal((await scanOne({ path: 'p', edit: star })).entry.path, `${'x'.repeat(131)}/p`);
  });

  test('with numbers between spaces and NULs', async () => {
    for (const field of ['    755 ', '755\0    ', '000755 \0', '\0 755\0\0 ', '00000755']) {
      assert.equal((await scanOne({ path: 'p', edit: setText(100, field) })).entry.mode, 0o755, field);
    }
    assert.equal((await scanOne({ path: 'p', edit: setText(100, '\0'.repeat(8)) })).entry.mode, 0);
  });
});

describe('reads sparse files', () => {
  const content = Buffer.alloc(200_000);
  const manyRuns = Array.from({ length: 60 }, (_, i) => ({ offset: 3000 * i, size: 512 }));
  for (const run of manyRuns) content.fill(1 + (run.offset % 251), run.offset, run.offset + run.size);
  const cases = {
    'no data at all': { runs: [{ offset: 5000, size: 0 }], size: 5000 },
    'data at the start': { runs: [{ offset: 0, size: 700 }], size: 700 },
    'hole at the end': {
      runs: [
        { offset: 0, size: 512 },
        { offset: 9000, size: 0 },
      ],
      size: 9000,
    },
    'many runs': { runs: manyRuns, size: content.length },
  };
  for (const format of ['gnu', '0.0', '0.1', '1.0'] satisfies SparseFormat[]) {
    test(`format ${format}`, async () => {
      for (const [name, sparse] of Object.entries(cases)) {
        const expected = Buffer.alloc(sparse.size);
        for (const run of sparse.runs) content.copy(expected, run.offset, run.offset, run.offset + run.size);
        const found = await scan([
          writeTar([
            {
              path: 'sparse',
              content,
              format: format === 'gnu' ? 'gnu' : 'pax',
              sparse: { ...sparse, format },
            },
            { path: 'next', content: 'x' },
          ]),
        ]);
        assert.equal(found[0]!.entry.path, 'sparse', name);
        assert.equal(found[0]!.entry.size, sparse.size, name);
        assert.deepEqual(
          found[0]!.entry.sparse,
          sparse.runs.filter((run) => run.size > 0),
          name,
        );
        assert.deepEqual(found[0]!.content, expected, name);
        assert.equal(found[1]!.content.toString(), 'x', name);
      }
    });
  }
});

describe('ends', () => {
  const tar = writeTar([{ path: 'a', content: 'x' }]);
  const withoutEnd = tar.subarray(0, -2 * BLOCK);

  test('at two zero blocks, at one, or without any', async () => {
    for (const zeros of [0, 1, 2, 20]) {
      assert.equal((await scan([Buffer.concat([withoutEnd, Buffer.alloc(zeros * BLOCK)])])).length, 1);
    }
    assert.deepEqual(await scan([]), []);
    assert.deepEqual(await scan([Buffer.alloc(0), Buffer.alloc(BLOCK)]), []);
  });

  test('after it has read and ignored trailing bytes', async () => {
    let drained = 0;
    function* chunks() {
      for (const chunk of [tar, tar, Buffer.from('garbage')]) {
        yield chunk;
        drained++;
      }
    }
    assert.equal((await scan(chunks())).length, 1);
    assert.equal(drained, 3);
  });

  test('its input when the caller stops early or fails', async () => {
    let released = 0;
    async function* chunks(bytes: Buffer) {
      try {
        yield bytes;
        yield bytes;
      } finally {
        released++;
      }
    }
    const options = { limits: DEFAULT_LIMITS, where: 'test.tar' };
    for await (const event of scanTar(chunks(tar), options)) if (event.kind === 'entry') break;
    assert.equal(released, 1);
    await assert.rejects(scan(chunks(Buffer.from('x'.repeat(600)))));
    assert.equal(released, 2);
  });
});

test('gives the same events for any chunks', async () => {
  const content = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251));
  const runs = [
    { offset: 0, size: 1000 },
    { offset: 3000, size: 10 },
  ];
  const tar = writeTar([
    { path: LONG, content, format: 'gnu' },
    { path: `x${LONG}`, content: '', xattrs: { 'user.a': 'b' }, mtime: 1.5 },
    { path: 's', content, sparse: { format: '1.0', runs } },
    { path: 't', content, format: 'gnu', sparse: { format: 'gnu', runs } },
  ]);
  const whole = await scan([tar]);
  assert.equal(whole.length, 4);
  for (const { entry } of whole.slice(0, 2)) {
    assert.deepEqual(
      tar.subarray(entry.bodyOffset, entry.bodyOffset + entry.bodySize),
      whole.find((w) => w.entry === entry)!.content,
    );
  }
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 1500 }), { minLength: 1 }), async (sizes) => {
      const chunks: Buffer[] = [];
      for (let at = 0, i = 0; at < tar.length; i++) {
        const size = i < sizes.length ? sizes[i]! : 1 + (sizes[0]! % 700);
        chunks.push(tar.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(await scan(chunks), whole);
    }),
    { numRuns: 100 },
  );
});

test('reads the headers of a tar in a range of a file', async () => {
  const tars = [
    writeTar([
      { path: 'a', content: Buffer.alloc(100_000, 1) },
      { path: 'b', content: 'b', xattrs: { 'user.x': 'y' } },
    ]),
    writeTar([{ path: LONG, format: 'gnu', content: Buffer.alloc(40_000, 2) }, { path: 'c' }]).subarray(
      0,
      -2 * BLOCK,
    ),
    writeTar([{ path: 'z', records: [['comment', 'c'.repeat(60_000)]] }]),
  ];
  const directory = mkdtempSync(join(tmpdir(), 'panamax-tar-'));
  try {
    const path = join(directory, 'stream');
    writeFileSync(path, Buffer.concat(tars));
    const options = { limits: DEFAULT_LIMITS, where: 'test.tar' };
    let start = 0;
    for (const tar of tars) {
      const end = start + tar.length;
      const headers = await Array.fromAsync(scanTarFile({ path, start, end }, options));
      const shifted = (await scan([tar])).map(({ entry }) => ({
        ...entry,
        offset: entry.offset + start,
        bodyOffset: entry.bodyOffset + start,
        end: entry.end + start,
      }));
      assert.deepEqual(headers, shifted);
      start = end;
    }
    const cut = scanTarFile({ path, start: 0, end: tars[0]!.length - 5 * BLOCK }, options);
    await assert.rejects(Array.fromAsync(cut), refusal('bad-input', /truncated/));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('reads archives of GNU tar', { skip: missing('tar') }, () => {
  const formats = [
    ['--format=v7'],
    ['--format=oldgnu'],
    ['--format=ustar'],
    ['--format=gnu', '--sparse'],
    ['--format=pax', '--sparse', '--sparse-version=0.0'],
    ['--format=pax', '--sparse', '--sparse-version=0.1'],
    ['--format=pax', '--sparse', '--sparse-version=1.0'],
  ];
  for (const format of formats) {
    test(format.join(' '), async () => {
      const directory = mkdtempSync(join(tmpdir(), 'panamax-tar-'));
      try {
        const tree = join(directory, 'tree');
        const hasLongNames = !/v7|ustar/.test(format[0]!);
        makeTree(tree, hasLongNames);
        const tar = join(directory, 'tree.tar');
        execFileSync('tar', [
          '--create',
          `--file=${tar}`,
          ...format,
          '--sort=name',
          `--directory=${tree}`,
          '.',
        ]);
        const paths = execFileSync('find', ['.', '-print0'], { cwd: tree, encoding: 'latin1' })
          .split('\0')
          .filter(Boolean);
        const found = await scan([readFileSync(tar)]);
        assert.deepEqual(found.map(({ entry }) => entry.path.replace(/(.)\/$/, '$1')).sort(), paths.sort());
        for (const { entry, content } of found) compareWithDisk(entry, content, tree);
        const sparse = found.find(({ entry }) => entry.path === './sparse')!.entry;
        assert.equal(sparse.sparse !== undefined, format.includes('--sparse'));
        assert.equal(found.filter(({ entry }) => entry.type === 'hardlink').length, 1);
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  }
});

function makeTree(tree: string, hasLongNames: boolean): void {
  mkdirSync(join(tree, 'dir'), { recursive: true });
  writeFileSync(join(tree, 'dir', 'file'), 'content');
  chmodSync(join(tree, 'dir', 'file'), 0o6755);
  utimesSync(join(tree, 'dir', 'file'), 1_600_000_000.25, 1_600_000_000.25);
  writeFileSync(join(tree, 'big'), Buffer.alloc(300_001, 7));
  writeFileSync(join(tree, 'empty'), '');
  symlinkSync('dir/file', join(tree, 'link'));
  linkSync(join(tree, 'big'), join(tree, 'hard'));
  writeFileSync(Buffer.concat([Buffer.from(join(tree, 'n')), Buffer.from([0xe9, 0xff])]), 'x');
  const sparse = join(tree, 'sparse');
  writeFileSync(sparse, Buffer.alloc(10_000, 1));
  for (let i = 1; i <= 30; i++) {
    truncateSync(sparse, i * 100_000);
    writeFileSync(sparse, Buffer.alloc(5000, i), { flag: 'a' });
  }
  truncateSync(sparse, 4_000_000);
  if (!hasLongNames) return;
  mkdirSync(join(tree, 'd'.repeat(120), 'e'.repeat(120)), { recursive: true });
  writeFileSync(join(tree, 'd'.repeat(120), 'e'.repeat(120), 'f'.repeat(200)), 'long');
  symlinkSync('t'.repeat(300), join(tree, 'longlink'));
}

function compareWithDisk(entry: TarEntry, content: Buffer, tree: string): void {
  const path = Buffer.concat([Buffer.from(`${tree}/`), latin1(entry.path.replace(/\/$/, ''))]);
  const stat = lstatSync(path);
  assert.deepEqual([entry.uid, entry.gid, entry.mode], [stat.uid, stat.gid, stat.mode & 0o7777], entry.path);
  assert.ok(Math.abs(entry.mtime - Math.floor(stat.mtimeMs / 1000)) < 1, entry.path);
  assert.equal(entry.type === 'directory', stat.isDirectory(), entry.path);
  assert.equal(entry.type === 'symlink', stat.isSymbolicLink(), entry.path);
  if (entry.type === 'file') assert.deepEqual(content, readFileSync(path), entry.path);
}
