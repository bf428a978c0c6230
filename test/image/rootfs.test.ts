import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRootfs, type Rootfs, type RootfsItem } from '../../lib/image/rootfs.ts';
import { DEFAULT_LIMITS, type Limits } from '../../lib/limits.ts';
import { missing, notRoot } from '../support/programs.ts';
import { refusal, scan } from '../support/scan.ts';
import { writeTar, type TarFixture } from '../support/tar.ts';
import { flatten } from '../support/tree.ts';
import { unpack } from '../support/umoci.ts';

const dir = (path: string, more: Partial<TarFixture> = {}): TarFixture => ({
  path,
  type: 'directory',
  ...more,
});
const file = (path: string, content = ''): TarFixture => ({ path, type: 'file', content });
const symlink = (path: string, linkPath: string): TarFixture => ({ path, type: 'symlink', linkPath });
const hardlink = (path: string, linkPath: string): TarFixture => ({ path, type: 'hardlink', linkPath });

interface Case {
  readonly name: string;
  readonly layers: TarFixture[][];
  /** All paths: directories with a slash, files with their content, links with their target. */
  readonly tree: string[];
  /** Why umoci 0.4.7 (Debian) is not compared. */
  readonly notUmoci?: string;
}

const CASES: Case[] = [
  {
    name: 'a whiteout removes a file or a whole directory, and ignores a missing path',
    layers: [
      [file('a', '1'), file('d/e/f', '2'), file('k', '3')],
      [file('.wh.a'), file('.wh.d'), file('x/.wh.y')],
    ],
    tree: ['k 3'],
  },
  {
    name: 'a whiteout keeps entries of its own layer, before and after it',
    layers: [[file('d/old', '1')], [file('d/new', '2'), file('.wh.d'), file('d/newer', '3')]],
    tree: ['d/', 'd/new 2', 'd/newer 3'],
  },
  {
    name: 'an opaque directory hides only lower content, at any position of its mark',
    layers: [
      [file('d/a', '1'), file('d/e/b', '2'), file('x', '3')],
      [file('d/c', '4'), file('d/e/g', '5'), file('d/.wh..wh..opq'), file('d/h', '6')],
    ],
    tree: ['d/', 'd/c 4', 'd/e/', 'd/e/g 5', 'd/h 6', 'x 3'],
  },
  {
    name: 'an opaque root',
    layers: [
      [file('a'), file('b/c')],
      [file('.wh..wh..opq'), file('k', '1')],
    ],
    tree: ['k 1'],
  },
  {
    name: 'opaque directories apply once per layer',
    layers: [
      [file('d/a')],
      [file('d/.wh..wh..opq')],
      [file('d/a', '1')],
      [file('d/b', '2')],
      [file('d/.wh..wh..opq'), file('d/c', '3')],
      [file('d/e', '4')],
    ],
    tree: ['d/', 'd/c 3', 'd/e 4'],
  },
  {
    name: 'a file replaces a directory and vice versa, also within a layer',
    layers: [[file('a/b', '1')], [file('a', '2')], [dir('a/'), file('a/c', '3'), file('z'), dir('z/')]],
    tree: ['a/', 'a/c 3', 'z/'],
  },
  {
    name: 'a directory keeps the content of a directory it replaces, but not that of a symlink',
    layers: [
      [file('a/b', '1'), file('c/d', '2'), symlink('l', 'c')],
      [dir('a/'), dir('l/'), file('l/x', '3')],
    ],
    tree: ['a/', 'a/b 1', 'c/', 'c/d 2', 'l/', 'l/x 3'],
  },
  {
    name: 'the later of two entries for a path counts',
    layers: [[file('a', '1'), symlink('a', 'x'), file('a', '2')]],
    tree: ['a 2'],
  },
  {
    name: 'hardlinks keep their target across layers',
    layers: [[file('a', '1')], [hardlink('b', 'a')], [file('a', '2')], [hardlink('c', '/b'), file('.wh.b')]],
    tree: ['a 2', 'c 1'],
  },
  {
    name: 'hardlinks share a node',
    layers: [[file('m', '1')], [hardlink('z', './m'), hardlink('a', 'z')], [file('z', '2')]],
    tree: ['a 1', 'm = a', 'z 2'],
  },
  {
    name: 'a hardlink to a symlink shares the symlink',
    layers: [[file('t', '1'), symlink('s', 't'), hardlink('h', 's')]],
    tree: ['h -> t', 's = h', 't 1'],
  },
  {
    name: 'a hardlink to a device shares the device',
    layers: [[{ path: 'c', type: 'char', devMajor: 1, devMinor: 3 }, hardlink('d', 'c')]],
    tree: ['c char 1:3', 'd = c'],
  },
  {
    name: 'entries and hardlink targets below symlinked directories',
    layers: [
      [dir('usr/lib/'), symlink('lib', 'usr/lib'), file('lib/a', '1')],
      [file('lib/x/b', '2'), hardlink('c', 'lib/a'), file('lib/.wh.a')],
    ],
    tree: ['c 1', 'lib -> usr/lib', 'usr/', 'usr/lib/', 'usr/lib/x/', 'usr/lib/x/b 2'],
  },
  {
    name: 'symlinks are followed within the root: absolute, above it, through each other, to missing paths',
    layers: [
      [
        dir('deep/er/'),
        symlink('deep/er/abs', '/top'),
        symlink('deep/er/up', '../../../../top/./x'),
        symlink('deep/chain', 'er/abs/y'),
        file('deep/er/abs/1', '1'),
        file('deep/er/up/2', '2'),
        file('deep/chain/3', '3'),
      ],
    ],
    tree: [
      'deep/',
      'deep/chain -> er/abs/y',
      'deep/er/',
      'deep/er/abs -> /top',
      'deep/er/up -> ../../../../top/./x',
      'top/',
      'top/1 1',
      'top/x/',
      'top/x/2 2',
      'top/y/',
      'top/y/3 3',
    ],
  },
  {
    name: "'..' in an entry's path is worked out before symlinks",
    layers: [
      [dir('a/b/'), symlink('s', 'a/b'), file('s/../f', '1'), file('/../g', '2'), file('.//./h', '3')],
    ],
    tree: ['a/', 'a/b/', 'f 1', 'g 2', 'h 3', 's -> a/b'],
  },
  {
    name: 'the root can have an entry',
    layers: [[dir('./', { mode: 0o700 }), dir('', { mode: 0o711 }), dir('/', { mode: 0o755 })]],
    tree: [],
  },
  {
    name: 'paths are in bytewise order',
    layers: [[file('a/b'), file('a-b'), file('a.b'), file('\xff'), file('Z')]],
    tree: ['Z', 'a/', 'a-b', 'a.b', 'a/b', '\xff'],
  },
  {
    name: 'a directory without an entry replaces a file',
    layers: [[file('a', '1'), symlink('s', 'a')], [file('a/b', '2')], [file('s/b/c', '3')]],
    tree: ['a/', 'a/b/', 'a/b/c 3', 's -> a'],
    notUmoci: 'refuses it; later versions and overlayfs do not',
  },
  {
    name: "AUFS's own files are no content, but hardlinks find them",
    layers: [
      [
        dir('.wh..wh.plnk/'),
        file('.wh..wh.plnk/1.2', '1'),
        hardlink('a', '.wh..wh.plnk/1.2'),
        hardlink('b', 'a'),
      ],
      [file('.wh..wh.aufs'), file('.wh..wh.orph/x'), file('d/.wh..wh.aufs')],
    ],
    tree: ['a 1', 'b = a'],
    notUmoci: 'keeps them',
  },
];

describe('flattening', () => {
  for (const { name, layers, tree } of CASES) {
    test(name, async () => assert.deepEqual(await listing(layers), tree));
  }
});

test('sorts files by full path, where a directory ends in a slash', async () => {
  const paths = ['a/x', 'a-b', 'a.c/y', 'a0', 'a/-'];
  const rootfs = createRootfs(DEFAULT_LIMITS);
  rootfs.beginLayer('layer');
  const tar = writeTar(paths.map((path) => ({ path })));
  for (const { entry } of await scan([tar])) rootfs.add(entry);
  assert.deepEqual(
    Array.from(rootfs.files(), ({ path }) => path),
    paths.toSorted(),
  );
});

test('adds layers to a copy that the original does not have, and the other way round', async () => {
  const [below, one, other] = [
    [dir('d/'), file('d/old', 'old'), hardlink('d/same', 'd/old'), dir('d/e/'), file('d/e/f', 'f')],
    [file('d/.wh.old'), file('d/e/new', 'new'), file('d/e/f', 'changed')],
    [dir('d/'), file('d/.wh..wh..opq'), file('d/other', 'other')],
  ] as [TarFixture[], TarFixture[], TarFixture[]];
  const first = createRootfs<string>(DEFAULT_LIMITS);
  await addLayers(first, [below]);
  const second = first.copy();
  await addLayers(first, [one]);
  await addLayers(second, [other]);
  assert.deepEqual(listed(first.nodes()), await listing([below, one]));
  assert.deepEqual(listed(second.nodes()), await listing([below, other]));
});

test('counts the layers below a copy', async () => {
  const rootfs = createRootfs<string>({ ...DEFAULT_LIMITS, maxEntries: 3 });
  await addLayers(rootfs, [[file('a'), file('b')]]);
  const copy = rootfs.copy();
  await addLayers(copy, [[file('c')]]);
  await assert.rejects(addLayers(copy, [[file('d')]]), /maxEntries/);
});

async function apply(layers: TarFixture[][], limits: Partial<Limits> = {}): Promise<RootfsItem<string>[]> {
  const rootfs = createRootfs<string>({ ...DEFAULT_LIMITS, ...limits });
  await addLayers(rootfs, layers);
  return rootfs.nodes();
}

async function addLayers(rootfs: Rootfs<string>, layers: TarFixture[][]): Promise<void> {
  for (const [i, layer] of layers.entries()) {
    rootfs.beginLayer(`layer ${i}`);
    for (const { entry, content } of await scan([writeTar(layer)])) rootfs.add(entry, content.toString());
  }
}

async function listing(layers: TarFixture[][]): Promise<string[]> {
  return listed(await apply(layers));
}

function listed([root, ...items]: RootfsItem<string>[]): string[] {
  assert.equal(root!.path, '');
  const seen = new Map<unknown, string>();
  return items.map(({ path, node }) => {
    const first = seen.get(node);
    if (first !== undefined) return `${path} = ${first}`;
    seen.set(node, path);
    if (node.type === 'directory') return `${path}/`;
    if (node.type === 'symlink') return `${path} -> ${node.linkPath}`;
    if (node.type === 'file') return node.content ? `${path} ${node.content}` : path;
    return `${path} ${node.type} ${node.devMajor}:${node.devMinor}`;
  });
}

describe('agrees with umoci', { skip: missing('umoci', 'tar') || notRoot() }, () => {
  for (const { name, layers } of CASES.filter(({ notUmoci }) => !notUmoci)) {
    test(name, async () => {
      const tars = layers.map(writeTar);
      assert.deepEqual(await flatten(tars), await unpack(tars));
    });
  }
});

test('takes metadata from the last entry, but not from hardlinks', async () => {
  const last = { mode: 0o4711, uid: 7, gid: 8, mtime: 9.5 };
  const tars = [
    [dir('d/', { uid: 1, xattrs: { 'user.a': 'x' } }), { ...file('f', 'x'), ...last }],
    [dir('d/', { ...last, xattrs: { 'user.b': 'y' } }), { ...hardlink('h', 'f'), mode: 0o600, uid: 1 }],
  ].map(writeTar);
  const [d, f, h] = await flatten(tars);
  assert.deepEqual(d, {
    path: 'd',
    type: 'directory',
    owner: '7:8',
    mode: '4711',
    xattrs: { 'user.b': 'y' },
  });
  assert.deepEqual({ ...h, path: 'f' }, f);
  assert.deepEqual([h!.owner, h!.mode, h!.mtime, h!.size], ['7:8', '4711', 9.5, 1]);
});

describe('refuses entries that engines refuse', () => {
  const loop = [symlink('a', 'b/x'), symlink('b', 'a')];
  const cases: [name: string, layers: TarFixture[][], what: RegExp, notUmoci?: string][] = [
    ['a path out of the root', [[file('../x')]], /out of the root/, 'stops at the root'],
    ['a path out of the root on a detour', [[file('a/../../x')]], /out of the root/, 'stops at the root'],
    [
      'a hardlink out of the root',
      [[file('x'), hardlink('h', '../x')]],
      /out of the root/,
      'stops at the root',
    ],
    ['a root that is a file', [[file('./')]], /root is not a directory/],
    ['a root that is a symlink', [[symlink('.', '/etc')]], /root is not a directory/],
    ['a file without a name', [[{ path: '', type: 'file' }]], /root is not a directory/],
    ['a hardlink to a missing path', [[hardlink('a', 'b')]], /hardlink to a missing path/],
    ['a hardlink to a later entry', [[hardlink('a', 'b'), file('b')]], /hardlink to a missing path/],
    [
      'a hardlink to what a whiteout took',
      [[file('b')], [file('.wh.b'), hardlink('a', 'b')]],
      /hardlink to a missing path/,
    ],
    ['a hardlink to itself', [[file('a'), hardlink('a', 'a')]], /hardlink to a missing path/],
    [
      'a hardlink over the directory of its target',
      [[file('a/b'), hardlink('a', 'a/b')]],
      /hardlink to a missing path/,
    ],
    ['a cycle of hardlinks', [[hardlink('a', 'b'), hardlink('b', 'a')]], /hardlink to a missing path/],
    ['a hardlink through a file', [[file('f'), hardlink('a', 'f/x')]], /hardlink to a missing path/],
    ['a hardlink to a directory', [[dir('d/'), hardlink('a', 'd')]], /hardlink to a directory/],
    ['a hardlink to the root', [[hardlink('a', '/')]], /hardlink to a directory/],
    ['a cycle of symlinks', [[...loop, file('a/f')]], /loop of symlinks/],
    ['a symlink to itself', [[symlink('a', 'a'), file('a/f')]], /loop of symlinks/],
    ['a hardlink through a cycle', [[...loop, hardlink('h', 'b/f')]], /loop of symlinks/],
    ['a symlink without a target', [[symlink('a', '')]], /symlink without a target/],
    [
      'a whiteout without a name',
      [[file('a')], [file('.wh.')]],
      /whiteout without a name/,
      'takes away the directory',
    ],
    [
      'a whiteout of .',
      [[file('d/a')], [file('d/.wh..')]],
      /whiteout without a name/,
      'takes away the directory',
    ],
    [
      'a whiteout of ..',
      [[file('d/a')], [file('d/.wh...')]],
      /whiteout without a name/,
      'takes away what is above',
    ],
  ];
  for (const [name, layers, what] of cases) {
    test(name, () => assert.rejects(listing(layers), refusal('bad-input', what)));
  }

  describe('agrees with umoci', { skip: missing('umoci', 'tar') || notRoot() }, () => {
    for (const [name, layers] of cases.filter(([, , , notUmoci]) => !notUmoci)) {
      test(name, () => assert.rejects(unpack(layers.map(writeTar))));
    }
  });
});

describe('applies limits to all layers together', () => {
  const cases: [limits: Partial<Limits>, layers: TarFixture[][]][] = [
    [
      { maxEntries: 3 },
      [
        [file('a'), file('b')],
        [file('a'), file('b')],
      ],
    ],
    [{ maxEntries: 3 }, [[file('a/b/c/d')]]],
    [{ maxImageSize: 5 }, [[file('a', '123')], [file('a', '456')]]],
    [
      { maxPathLength: 100 },
      [[symlink('s', 'x/'.repeat(40)), symlink(`${'x/'.repeat(40)}t`, 'y/'.repeat(40)), file('s/t/f')]],
    ],
  ];
  for (const [limits, layers] of cases) {
    const [limit] = Object.keys(limits);
    test(`${limit} in ${layers.length} layers`, async () => {
      await assert.rejects(apply(layers, limits), refusal('limit', new RegExp(limit ?? '')));
    });
  }

  test('metadata of all layers', async () => {
    const layers = Array.from({ length: 9 }, (_, i) => [symlink(`f${i}`, 'x'.repeat(300))]);
    await assert.rejects(apply(layers, { maxEntries: 10 }), refusal('limit', /metadata for maxEntries/));
    assert.equal((await apply(layers, { maxEntries: 11 })).length, 10);
  });

  test('paths that symlinks make long', async () => {
    const files = Array.from({ length: 20 }, (_, i) => file(`s/${i}`));
    const layers = [[symlink('s', `${'x'.repeat(200)}/${'y'.repeat(200)}`), ...files]];
    const tooLong = { kind: 'limit', message: /too long together for maxEntries/ };
    await assert.rejects(apply(layers, { maxEntries: 23 }), tooLong);
    assert.equal((await apply(layers, { maxEntries: 40 })).length, 24);
  });

  test('refuses long chains of symlinks in bounded time', async () => {
    const links = Array.from({ length: 39 }, (_, i) => symlink(`l${i}`, `${'./'.repeat(2000)}l${i + 1}`));
    const entries = [...links, ...Array.from({ length: 60 }, (_, i) => file(`l0/f${i}`))];
    await assert.rejects(apply([entries], { maxEntries: 1000 }), refusal('limit', /too many steps/));
    assert.equal((await apply([entries.slice(0, 40)], { maxEntries: 1000 })).length, 42);
    // also in a small layer with the default limits
    await assert.rejects(
      apply([entries]),
      refusal('limit', /too many steps to resolve: expected at most 10/),
    );
  });

  test('accepts a tree of maximal depth', async () => {
    const items = await apply([[file(`${'a/'.repeat(2040)}f`)]]);
    assert.equal(items.length, 2042);
  });

  test('repeated opaque marks of a large directory take no more time than one', async () => {
    const many = Array.from({ length: 10_000 }, (_, i) => file(`d/f${i}`));
    const marks = Array.from({ length: 10_000 }, () => file('d/.wh..wh..opq'));
    assert.equal((await apply([[...many, ...marks]])).length, 10_002);
  });
});
