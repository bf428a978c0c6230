import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PanamaxError } from '../../../lib/errors.ts';
import type { Limits } from '../../../lib/limits.ts';
import { refusal, scan } from '../../support/scan.ts';
import {
  BLOCK,
  latin1,
  padded,
  setNumber,
  setText,
  tarHeader,
  withChecksum,
  writeEntry,
  writeSpecial,
  writeTar,
  type SparseFormat,
  type TarFixture,
} from '../../support/tar.ts';

const LONG = `${'directory/'.repeat(20)}file`;

const edited = (edit: (header: Buffer) => void, more: Partial<TarFixture> = {}) =>
  writeTar([{ path: 'victim', content: 'x', ...more, edit }]);
const pax = (...records: [string, string][]) => writeTar([{ path: 'victim', content: 'x', records }]);
const paxText = (text: string) =>
  Buffer.concat([writeSpecial('x', latin1(text)), writeEntry({ path: 'victim' })]);
const sparse = (map: string, size = '100') => pax(['GNU.sparse.map', map], ['GNU.sparse.size', size]);
const embedded = (map: string) =>
  writeTar([
    {
      path: 'victim',
      content: padded(latin1(map)),
      records: [
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', '100'],
      ],
    },
  ]);
const oldSparse = (...runs: { offset: number; size: number }[]) =>
  writeTar([{ path: 'victim', content: 'x', format: 'gnu', sparse: { format: 'gnu', runs, size: 100 } }]);

describe('refuses damaged and hostile tars', () => {
  const whole = writeTar([{ path: 'victim', content: 'x'.repeat(600) }]);
  const brokenChecksum = writeTar([{ path: 'victim' }]);
  brokenChecksum[0]! ^= 1;

  const cases: [name: string, tar: Buffer, what: RegExp][] = [
    ['wrong checksum', brokenChecksum, /wrong checksum: expected \d+, found \d+/],
    ['no tar at all', Buffer.alloc(1024, 'text '), /malformed checksum/],
    ['header cut', whole.subarray(0, 300), /truncated/],
    ['body cut', whole.subarray(0, 900), /truncated.*entry victim/],
    ['extension body cut', writeSpecial('x', Buffer.alloc(2000)).subarray(0, 1000), /truncated/],
    [
      'one zero block between entries',
      Buffer.concat([writeEntry({ path: 'a' }), Buffer.alloc(BLOCK), whole]),
      /zero block/,
    ],
    ['part of a zero block', Buffer.alloc(100), /truncated/],
    ['negative size', edited(setNumber(124, 12, -1)), /negative size/],
    ['huge size', edited(setText(124, `\x80${'\x7f'.repeat(11)}`)), /2\^53/],
    ['end beyond 2^53', edited(setNumber(124, 12, Number.MAX_SAFE_INTEGER - 1)), /2\^53/],
    ['huge time', edited(setText(136, `\x80${'\x7f'.repeat(11)}`)), /mtime beyond 2\^63/],
    ['size that is no number', edited(setText(124, '12x')), /malformed size/],
    ['size with digits apart', edited(setText(124, '12 34')), /malformed size/],
    ['pax uid of no digits', pax(['uid', '0x1']), /malformed uid/],
    ['pax gid over 64 bits', pax(['gid', '9223372036854775808']), /malformed gid/],
    ['pax uid of many digits', pax(['uid', '9'.repeat(1000)]), /malformed uid/],
    ['mode of no digits', edited(setText(100, 'rwxr')), /malformed mode/],
    ['device number of no digits', edited(setText(329, 'x'), { type: 'char' }), /malformed device/],
    ['unknown type', edited(setText(156, 'V')), /unknown type.*V/],
    ['pax length missing', paxText('path=x\n'), /no length/],
    ['pax length zero', paxText('0 path=x\n'), /wrong length/],
    ['pax length too long', paxText('99 path=x\n'), /wrong length/],
    ['pax length too short', paxText('5 path=x\n'), /wrong length/],
    ['pax record without newline', paxText('9 path=xy'), /wrong length/],
    ['pax record without equals', paxText('7 path\n'), /no keyword/],
    ['pax record without keyword', paxText('5 =x\n'), /no keyword/],
    ['pax keyword with NUL', pax(['pa\0th', 'x']), /NUL/],
    ['pax padding of NULs', paxText('10 path=x\n\0\0'), /no length/],
    ['pax path with NUL', pax(['path', 'a\0b']), /NUL in its name/],
    ['pax size of no digits', pax(['size', '1e3']), /malformed size/],
    ['pax size negative', pax(['size', '-1']), /malformed size/],
    ['pax size huge', pax(['size', '9'.repeat(30)]), /malformed size/],
    ['pax mtime', pax(['mtime', '1.2.3']), /malformed mtime/],
    ['pax mtime huge', pax(['mtime', '9'.repeat(400)]), /malformed mtime/],
    ['damaged global header', Buffer.concat([writeSpecial('g', latin1('x')), whole]), /no length/],
    [
      'link with NUL',
      writeTar([{ path: 'l', type: 'symlink', records: [['linkpath', 'a\0']] }]),
      /NUL in its name/,
    ],
    ['sparse runs overlap', sparse('0,1,0,0'), /runs backwards/],
    ['sparse runs backwards', sparse('50,1,10,0'), /runs backwards/],
    ['sparse run past the end', sparse('100,1'), /passes the end/],
    ['sparse run beyond 2^53', sparse('9007199254740991,1', '9007199254740991'), /passes the end/],
    ['sparse runs short of the content', sparse('5,0'), /not as long as the content/],
    ['sparse runs longer than the content', sparse('5,2'), /not as long as the content/],
    ['sparse map of odd length', sparse('5'), /middle of a run/],
    ['sparse map of no digits', sparse('a,b'), /malformed sparse map/],
    ['sparse size of no digits', sparse('0,1', 'x'), /malformed expanded size/],
    [
      'sparse map out of order',
      pax(['GNU.sparse.numbytes', '1'], ['GNU.sparse.offset', '1']),
      /out of order/,
    ],
    [
      'sparse map on a directory',
      writeTar([{ path: 'd/', records: [['GNU.sparse.map', '0,0']] }]),
      /no file/,
    ],
    ['embedded map endless', embedded('1'.repeat(600)), /malformed sparse map/],
    [
      'embedded map longer than the content',
      embedded(`900\n${'0\n'.repeat(254)}`),
      /longer than the content/,
    ],
    ['embedded map of no digits', embedded('1\nx\n1\n'), /malformed sparse map/],
    ['embedded map negative', embedded('-1\n'), /malformed sparse map/],
    ['old sparse runs overlap', oldSparse({ offset: 0, size: 1 }, { offset: 0, size: 0 }), /runs backwards/],
    ['old sparse run past the end', oldSparse({ offset: 100, size: 1 }), /passes the end/],
    ['old sparse negative', oldSparse({ offset: 10, size: -5 }, { offset: 20, size: 6 }), /runs backwards/],
    ['old sparse without GNU header', edited(setText(156, 'S')), /no GNU header/],
    [
      'old sparse extension missing',
      edited(setText(482, '\x01'), {
        format: 'gnu',
        sparse: { format: 'gnu', runs: [] },
      }).subarray(0, BLOCK),
      /truncated/,
    ],
  ];
  for (const [name, tar, what] of cases) {
    test(name, () => assert.rejects(scan([tar]), refusal('bad-input', what)));
  }

  test('escapes control characters of names in messages', async () => {
    const tar = edited(setText(124, 'xxxxxxxxxxxx'), { path: 'a\x1b[31m\n' });
    await assert.rejects(scan([tar]), (error: Error) => !/\p{Cc}/u.test(error.message));
  });
});

describe('applies limits', () => {
  const many = writeTar(Array.from({ length: 11 }, (_, i) => ({ path: `f${i}`, content: 'x'.repeat(100) })));
  const cases: [limits: Partial<Limits>, tar: Buffer][] = [
    [{ maxEntries: 10 }, many],
    [{ maxImageSize: 1000 }, many],
    [
      { maxImageSize: 5000 },
      writeTar([
        { path: 's', content: '', sparse: { format: '0.1', runs: [{ offset: 5001, size: 0 }], size: 5001 } },
      ]),
    ],
    [{ maxPathLength: 200 }, writeTar([{ path: LONG, format: 'gnu' }])],
    [{ maxPathLength: 200 }, writeTar([{ path: LONG, format: 'pax' }])],
    [{ maxPathLength: 200 }, writeTar([{ path: 'l', type: 'symlink', linkPath: LONG }])],
    [{ maxHeaderSize: 2000 }, writeTar([{ path: 'x', records: [['comment', 'x'.repeat(2000)]] }])],
    [{ maxHeaderSize: 2000 }, Buffer.concat([...Array(10).fill(writeSpecial('g', Buffer.alloc(0))), many])],
    [{ maxHeaderSize: 1 << 20 }, tarHeader({ path: 'x', flag: 'x', size: 2 ** 40 })],
    [{ maxHeaderSize: 1 << 20 }, tarHeader({ path: 'x', flag: 'L', size: 2 ** 40, format: 'gnu' })],
    [{ maxHeaderSize: 1000 }, withRuns('1.0', 400)],
    [{ maxHeaderSize: 1000 }, withRuns('gnu', 400)],
  ];
  for (const [limits, tar] of cases) {
    const [name, limit] = Object.entries(limits)[0]!;
    test(`${name} ${limit}`, async () => {
      await assert.rejects(scan([tar], limits), refusal('limit', new RegExp(name)));
    });
  }

  test('reads a tar at the limits', async () => {
    assert.equal((await scan([many], { maxEntries: 11, maxImageSize: many.length })).length, 11);
    assert.equal((await scan([writeTar([{ path: LONG }])], { maxPathLength: LONG.length })).length, 1);
  });

  test('reads a long name of NULs in bounded time', async () => {
    const name = Buffer.concat([Buffer.alloc(1_000_000), latin1('x')]);
    const tar = Buffer.concat([writeSpecial('L', name), writeTar([{ path: 'x' }])]);
    assert.equal((await scan([tar]))[0]!.entry.path, 'x');
  });

  test('metadata of all entries', async () => {
    const long = Array.from({ length: 10 }, () => ({ path: LONG }));
    const withXattrs = [{ path: 'x', xattrs: { 'user.x': 'x'.repeat(3000) } }];
    for (const entries of [
      long.map((entry) => ({ ...entry, type: 'symlink' as const, linkPath: LONG })),
      withXattrs,
    ]) {
      const limits = { maxEntries: 10 };
      await assert.rejects(scan([writeTar(entries)], limits), refusal('limit', /metadata for maxEntries/));
    }
    assert.equal((await scan([writeTar(long)], { maxEntries: 10 })).length, 10);
  });

  test('bytes after the end of the tar', async () => {
    await assert.rejects(scan(endlessChunks(), { maxImageSize: 1 << 20 }), refusal('limit', /maxImageSize/));
  });
});

function* endlessChunks(): Generator<Buffer> {
  yield writeTar([]);
  for (;;) yield Buffer.alloc(65536);
}

function withRuns(format: SparseFormat, count: number): Buffer {
  const runs = Array.from({ length: count }, (_, i) => ({ offset: i * 1024, size: 1 }));
  const content = Buffer.alloc(count * 1024);
  return writeTar([
    { path: 's', content, format: format === 'gnu' ? 'gnu' : 'pax', sparse: { format, runs } },
  ]);
}

test('reads or refuses randomly damaged tars', async () => {
  const content = Buffer.alloc(3000, 'content');
  const runs = [
    { offset: 0, size: 700 },
    { offset: 2000, size: 10 },
  ];
  const entries: TarFixture[] = [
    { path: 'dir/' },
    { path: LONG, format: 'gnu', content },
    { path: LONG, type: 'symlink', linkPath: LONG, format: 'gnu' },
    { path: LONG, xattrs: { 'user.x': 'y' }, mtime: 1.5, records: [['size', '3']], content: 'abc' },
    ...(['gnu', '0.0', '0.1', '1.0'] as const).map((format) => ({
      path: `s${format}`,
      content,
      format: format === 'gnu' ? ('gnu' as const) : ('pax' as const),
      sparse: { format, runs },
    })),
    { path: 'dev', type: 'char', devMajor: 1, devMinor: 2 },
  ];
  const tar = writeTar(entries);
  const random = randomNumbers(20_261_124);
  const outcomes = { read: 0, refused: 0 };
  for (let round = 0; round < 4000; round++) {
    const damaged = damage(tar, random);
    try {
      const found = await scan([damaged.subarray(0, 3000), damaged.subarray(3000)], {
        maxImageSize: 1 << 20,
      });
      assert.ok(found.length <= entries.length + 20);
      outcomes.read++;
    } catch (error) {
      assert.ok(error instanceof PanamaxError, `round ${round}: ${String(error)}`);
      assert.match(error.kind, /^(bad-input|limit)$/);
      outcomes.refused++;
    }
  }
  assert.ok(outcomes.read > 100 && outcomes.refused > 1000, JSON.stringify(outcomes));
});

/** Flips bits, overwrites digits, truncates, and moves blocks. In half of the cases it corrects the checksums. */
function damage(tar: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(tar);
  for (let i = 0; i <= random(4); i++) {
    const at = random(bytes.length);
    const kind = random(5);
    if (kind === 0) bytes[at]! ^= 1 << random(8);
    if (kind === 1) bytes[at] = 0x30 + random(10);
    if (kind === 2) bytes = bytes.subarray(0, at);
    if (kind === 3) {
      const from = random(bytes.length);
      bytes.copy(
        bytes,
        at - (at % BLOCK),
        from - (from % BLOCK),
        from - (from % BLOCK) + BLOCK * (1 + random(3)),
      );
    }
    if (kind === 4) bytes.fill(random(256), at, Math.min(at + random(20), bytes.length));
    if (bytes.length === 0) return bytes;
  }
  if (random(2) === 0) return bytes;
  for (let at = 0; at + BLOCK <= bytes.length; at += BLOCK) {
    if (bytes.toString('latin1', at + 257, at + 262) === 'ustar')
      withChecksum(bytes.subarray(at, at + BLOCK));
  }
  return bytes;
}

/** A small seeded generator (xorshift32). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
