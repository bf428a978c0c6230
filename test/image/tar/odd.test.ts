/**
 * Layers that real tools write and few readers know. Docker and containerd (Go's archive/tar) decide their meaning, and
 * every part of panamax takes each of them.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { formatNames } from '../../../lib/delta/formats.ts';
import { streamInFile } from '../../../lib/image/layerstream.ts';
import { listRootfsFiles } from '../../../lib/image/rootfsfiles.ts';
import { scanTarFile, scanTarFileBlocking } from '../../../lib/image/tar/file.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { compareSignatures } from '../../../lib/pairing/ranking.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { applyPatch, makePatch } from '../../support/patch.ts';
import { missing, notRoot } from '../../support/programs.ts';
import { createRandom } from '../../support/random.ts';
import { scan } from '../../support/scan.ts';
import {
  BLOCK,
  latin1,
  paxBody,
  setNumber,
  setText,
  writeEntry,
  writeSpecial,
  writeTar,
} from '../../support/tar.ts';
import { flatten } from '../../support/tree.ts';
import { unpack } from '../../support/umoci.ts';

const END = Buffer.alloc(2 * BLOCK);
const tar = (...parts: readonly Uint8Array[]) => Buffer.concat([...parts, END]);
const global = (comment: string) => writeSpecial('g', paxBody([['comment', comment]]));
const local = (path: string) => writeSpecial('x', paxBody([['path', path]]));
const longName = (bytes: string) => writeSpecial('L', latin1(bytes));
const longLink = (bytes: string) => writeSpecial('K', latin1(bytes));
const file = (path: string, content: string) => writeEntry({ path, content });
const owner = (uid: number, content: string) =>
  writeEntry({
    path: 'app/a',
    content,
    format: 'gnu',
    edit: (header) => [setNumber(108, 8, uid), setNumber(116, 8, uid)].forEach((set) => set(header)),
  });
const paxOwner = (id: string, content: string) =>
  writeEntry({
    path: 'app/a',
    content,
    records: [
      ['uid', id],
      ['gid', id],
    ],
  });
const LONG = `app/${'n'.repeat(120)}`;
/** Byte strings that are ordinary on Linux. */
const NAMES = [
  './app/new\nline',
  './app/back\\slash',
  'app/caf\xc3\xa9',
  'app/cafe\xcc\x81',
  'app/\xf0\x9f\x98\x80',
  'app/\xff\xfe',
  '/app/absolute',
  './app//twice',
  'app/./dot',
  'app/x/../y',
  'app/ trailing ',
  'app/tab\t',
  'app/*?[',
  `app/"q'`,
  'app/-rf',
  'app/\x1b[31m',
  'app/C:',
  'app/.wh',
  'app/..a',
  'app/...',
];
/** Version 2 of a capability set, as setcap writes it. */
const CAPABILITY = '\x01\0\0\x02\0\x20' + '\0'.repeat(14);

interface OddLayer {
  readonly name: string;
  /** The layer, with a content that differs between the two releases of an image. */
  readonly make: (content: string) => Buffer;
  /** Paths of the entries, and for files their content. */
  readonly entries: readonly string[];
  readonly owner?: number;
  /** Why umoci 0.4.7 is not compared. */
  readonly notUmoci?: string;
}

const ODD: readonly OddLayer[] = [
  {
    name: 'nothing but a global pax header',
    make: (content) => tar(global(content)),
    entries: [],
    notUmoci: 'refuses global headers',
  },
  {
    name: 'nothing but a local pax header',
    make: (content) => tar(local(`app/${content}`)),
    entries: [],
  },
  { name: 'nothing but a GNU long name', make: (content) => tar(longName(`${content}\0`)), entries: [] },
  { name: 'nothing but a GNU long link', make: (content) => tar(longLink(`${content}\0`)), entries: [] },
  {
    name: 'an extension header of each kind at the end',
    make: (content) =>
      tar(file('app/c', content), global('x'), local('app/none'), longName(LONG), longLink(LONG)),
    entries: ['app/c 1'],
    notUmoci: 'refuses global headers',
  },
  {
    name: 'an extension header at the end, without padding and end blocks',
    make: (content) =>
      Buffer.concat([
        file('app/c', content),
        writeSpecial('x', paxBody([['path', 'app/none']])).subarray(0, BLOCK + 17),
      ]),
    entries: ['app/c 1'],
  },
  {
    name: 'an extension header before one zero block',
    make: (content) => Buffer.concat([file('app/c', content), local('app/none'), Buffer.alloc(BLOCK)]),
    entries: ['app/c 1'],
  },
  {
    name: 'a local pax header and a GNU long name that a global header ends',
    make: (content) => tar(local('app/other'), longName(`${LONG}\0`), global('x'), file('app/c', content)),
    entries: ['app/c 1'],
    notUmoci: 'refuses global headers',
  },
  {
    name: 'a GNU long name with bytes behind its NUL',
    make: (content) => tar(longName(`${LONG}\0rubbish\0`), file('app/n', content)),
    entries: [`${LONG} 1`],
  },
  {
    name: 'a GNU long link with bytes behind its NUL',
    make: (content) =>
      tar(
        file(LONG, content),
        longLink(`${LONG}\0rubbish`),
        writeEntry({ path: 'app/h', type: 'hardlink', linkPath: 'app/n' }),
      ),
    entries: [`${LONG} 1`, `app/h = ${LONG}`],
  },
  {
    name: 'an empty GNU long name',
    make: (content) => tar(longName('\0'), file('app/short', content)),
    entries: ['app/short 1'],
  },
  {
    name: 'a GNU long name of no bytes over a pax path',
    make: (content) => tar(local(LONG), longName(''), file('app/short', content)),
    entries: [`${LONG} 1`],
    notUmoci: 'cannot mix both formats (Go 1.10 and later can)',
  },
  {
    name: 'an empty GNU long link',
    make: (content) =>
      tar(
        file('app/n', content),
        longLink('\0\0'),
        writeEntry({ path: 'app/h', type: 'hardlink', linkPath: 'app/n' }),
      ),
    entries: ['app/n 1', 'app/h = app/n'],
  },
  {
    name: 'owner -2 in base-256',
    make: (content) => tar(owner(-2, content)),
    entries: ['app/a 1'],
    owner: 4294967294,
  },
  {
    name: 'owner 2^40 + 7 in base-256',
    make: (content) => tar(owner(2 ** 40 + 7, content)),
    entries: ['app/a 1'],
    owner: 7,
  },
  {
    name: 'the largest owner of base-256',
    make: (content) =>
      tar(
        writeEntry({
          path: 'app/a',
          content,
          format: 'gnu',
          edit: (header) =>
            [108, 116].forEach((at) => setText(at, '\xbf\xff\xff\xff\xff\xff\xff\xfe')(header)),
        }),
      ),
    entries: ['app/a 1'],
    owner: 4294967294,
  },
  {
    name: 'owner -2 in pax',
    make: (content) => tar(paxOwner('-2', content)),
    entries: ['app/a 1'],
    owner: 4294967294,
  },
  {
    name: 'owner 2^63 - 2 in pax',
    make: (content) => tar(paxOwner('9223372036854775806', content)),
    entries: ['app/a 1'],
    owner: 4294967294,
  },
  {
    name: 'a negative device number',
    make: (content) =>
      tar(
        writeEntry({
          path: 'app/d',
          type: 'char',
          format: 'gnu',
          edit: (header) => setNumber(337, 8, -1)(header),
        }),
        file('app/c', content),
      ),
    entries: ['app/d', 'app/c 1'],
    notUmoci: 'has no such minor',
  },
  {
    name: 'times beyond 2^53, before the epoch and of fractions',
    make: (content) =>
      tar(
        writeEntry({ path: 'app/big', content: '1', format: 'gnu', mtime: 2 ** 60 }),
        writeEntry({ path: 'app/old', content: '1', format: 'gnu', mtime: -(2 ** 60) }),
        writeEntry({ path: 'app/pax', content: '1', records: [['mtime', '1152921504606846976']] }),
        writeEntry({ path: 'app/half', content: '1', records: [['mtime', '-0.5']] }),
        file('app/c', content),
      ),
    entries: ['app/big 1', 'app/old 1', 'app/pax 1', 'app/half 1', 'app/c 1'],
    notUmoci: 'clamps times to those of the file system',
  },
  {
    name: 'names with any bytes, and paths that are not in their shortest form',
    make: (content) =>
      tar(
        writeEntry({ path: './' }),
        writeEntry({ path: './app/x/' }),
        ...NAMES.map((path, i) => file(path, `${i}${content}`)),
        writeEntry({ path: 'app/link', type: 'symlink', linkPath: 'new\nline' }),
        writeEntry({ path: 'app/hard', type: 'hardlink', linkPath: './app/new\nline' }),
      ),
    entries: [
      './',
      './app/x/',
      ...NAMES.map((path, i) => `${path} ${i}1`),
      'app/link = new\nline',
      'app/hard = ./app/new\nline',
    ],
  },
  {
    name: 'attributes of any bytes, records of other systems, devices and a contiguous file',
    make: (content) =>
      tar(
        writeEntry({
          path: 'bin/ping',
          mode: 0o4755,
          content,
          xattrs: { 'security.capability': CAPABILITY, 'user.lines': 'a\nb=c\xff', 'user.empty': '' },
          records: [
            ['LIBARCHIVE.xattr.user.x', 'AAAA'],
            ['SCHILY.acl.access', 'user::rw-'],
            ['MSWINDOWS.fileattr', '32'],
          ],
        }),
        writeEntry({ path: 'dev/null', type: 'char', devMajor: 1, devMinor: 3 }),
        writeEntry({ path: 'dev/big', type: 'char', format: 'gnu', devMajor: 259, devMinor: 70_000 }),
        writeEntry({ path: 'run/pipe', type: 'fifo' }),
        writeEntry({ path: 'bin/contiguous', content: 'abc', edit: setText(156, '7') }),
      ),
    entries: ['bin/ping 1', 'dev/null', 'dev/big', 'run/pipe', 'bin/contiguous abc'],
    notUmoci: 'refuses contiguous files',
  },
  {
    name: 'numbers with a plus sign in pax',
    make: (content) =>
      tar(
        writeSpecial('x', latin1('+14 size=+001\n')),
        writeEntry({ path: 'app/c', content: '1', edit: setNumber(124, 12, 0) }),
        file('app/d', content),
      ),
    entries: ['app/c 1', 'app/d 1'],
  },
  {
    name: 'no end blocks',
    make: (content) => file('app/c', content),
    entries: ['app/c 1'],
  },
  {
    name: 'neither padding nor end blocks',
    make: (content) => file('app/c', content).subarray(0, BLOCK + 1),
    entries: ['app/c 1'],
  },
  {
    name: 'a part of the padding and no end blocks',
    make: (content) => Buffer.concat([file('app/b', '1'), file('app/c', content).subarray(0, BLOCK + 100)]),
    entries: ['app/b 1', 'app/c 1'],
  },
];

/** An ordinary layer, so that a patch has something to work on. */
const base = (release: number) =>
  writeTar([
    { path: 'usr/' },
    { path: 'usr/text', content: createRandom(1).text(60_000) },
    { path: 'usr/version', content: `${release}` },
  ]);

describe('reads what container engines make of odd layers', () => {
  for (const { name, make, entries, owner: expected } of ODD) {
    test(name, async () => {
      const found = await scan([make('1')]);
      const lines = found.map(({ entry: { path, linkPath }, content }) =>
        linkPath ? `${path} = ${linkPath}` : `${path} ${content.toString()}`.trim(),
      );
      assert.deepEqual(lines, entries);
      if (expected === undefined) return;
      assert.deepEqual([found[0]!.entry.uid, found[0]!.entry.gid], [expected, expected]);
    });
  }

  test('as umoci unpacks them', { skip: missing('umoci') || notRoot() }, async () => {
    for (const { name, make, notUmoci } of ODD) {
      if (notUmoci === undefined)
        assert.deepEqual(await flatten([make('1')]), await unpack([make('1')]), name);
    }
  });
});

/** All in one image: each layer starts where the one before ends, also within a block. */
const layers = (release: number) => [base(release), ...ODD.map(({ make }) => make(`${release}`))];

test('takes odd layers in every part: signature, ranking, listing, patches of every format', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = (file: string) => join(directory, file);
  const signatures = [];
  for (const release of [1, 2]) {
    await writeLayout(path(`${release}`), layers(release), { compression: 'none' });
    const image = await openImage(await parseReference(path(`${release}`)), { limits });
    signatures.push(await computeSignature(image, limits));
  }
  const [source, target] = signatures;
  const { predictions } = compareSignatures(target!, [source!]);
  assert.deepEqual(Object.keys(predictions).sort(), formatNames().sort());

  const stream = streamInFile(
    path('stream'),
    layers(1).map((layer) => layer.length),
  );
  await writeFile(path('stream'), Buffer.concat(layers(1)));
  const files = await listRootfsFiles(stream, limits, scanTarFile);
  assert.deepEqual(await listRootfsFiles(stream, limits, scanTarFileBlocking), files);
  assert.equal(files.count, source!.files.kinds.filter((kind) => kind === 0).length);

  for (const format of formatNames()) {
    await makePatch(path('1'), path('2'), path(format), format);
    await applyPatch(path(format), path('1'), `stream:${path(`${format}.stream`)}`);
    assert.ok((await readFile(path(`${format}.stream`))).equals(Buffer.concat(layers(2))), format);
  }
});

test('refuses a truncated or damaged layer in every part', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = (file: string) => join(directory, file);
  await writeLayout(path('1'), [base(1)], { compression: 'none' });
  const bad = {
    truncated: Buffer.concat([file('app/b', '1'), file('app/c', '2'.repeat(1000)).subarray(0, BLOCK + 700)]),
    damaged: tar(file('app/b', '1'), Buffer.alloc(BLOCK, 'no header')),
    'of a sparse file with a negative size': tar(
      writeEntry({
        path: 'app/b',
        format: 'gnu',
        edit: (header) => [setText(156, 'S'), setNumber(483, 12, -5)].forEach((set) => set(header)),
      }),
    ),
  };
  for (const [name, layer] of Object.entries(bad)) {
    await writeLayout(path(name), [base(2), layer], { compression: 'none' });
    const image = await openImage(await parseReference(path(name)), { limits });
    const refused = { kind: 'bad-input', message: /layer (1|sha256)/ };
    await assert.rejects(computeSignature(image, limits), refused);
    for (const format of formatNames()) {
      await assert.rejects(makePatch(path('1'), path(name), path(format), format), refused, format);
      await assert.rejects(makePatch(path(name), path('1'), path(format), format), refused, format);
    }
  }
});
