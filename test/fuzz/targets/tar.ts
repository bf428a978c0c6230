/** Layers: every kind of entry and header, flattened to a root filesystem. */
import assert from 'node:assert/strict';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { createRootfs } from '../../../lib/image/rootfs.ts';
import { scanTar } from '../../../lib/image/tar/scan.ts';
import { writeTar, type TarFixture } from '../../support/tar.ts';
import { inPieces } from '../pieces.ts';
import { repairTar } from '../repair.ts';
import type { FuzzTarget } from '../target.ts';

const LIMITS = { ...DEFAULT_LIMITS, maxImageSize: 1 << 22, maxEntries: 2000, maxHeaderSize: 1 << 18 };
const LONG = `${'directory/'.repeat(20)}file`;
const RUNS = [
  { offset: 0, size: 700 },
  { offset: 2000, size: 10 },
];
const CONTENT = Buffer.alloc(3000, 'content');

export function open(): FuzzTarget {
  const sparse = (['gnu', '0.0', '0.1', '1.0'] as const).map((format): TarFixture => ({
    path: `s${format}`,
    content: CONTENT,
    format: format === 'gnu' ? 'gnu' : 'pax',
    sparse: { format, runs: RUNS },
  }));
  const tree: TarFixture[] = [
    { path: 'a/' },
    { path: 'a/b', content: 'text' },
    { path: 'a/c', type: 'hardlink', linkPath: 'a/b' },
    { path: 'l', type: 'symlink', linkPath: 'a' },
    { path: 'l/d', content: 'x' },
    { path: 'a/.wh.b' },
    { path: 'a/.wh..wh..opq' },
    { path: 'dev', type: 'char', devMajor: 1, devMinor: 2 },
  ];
  const long: TarFixture[] = [
    { path: LONG, format: 'gnu', content: 'x' },
    { path: LONG, type: 'symlink', linkPath: LONG, format: 'gnu' },
    { path: LONG, xattrs: { 'user.x': 'y' }, mtime: 1.5, records: [['size', '3']], content: 'abc' },
    { path: 'old', format: 'v7', content: 'x' },
  ];
  return {
    seeds: [tree, long, ...sparse.map((entry) => [entry])].map(writeTar),
    kinds: ['bad-input', 'limit'],
    words: ['.wh.', '.wh..wh..opq', '../', '\0', '11 path=abc\n', '19 GNU.sparse.major=1\n'],
    repair: repairTar,
    async run(input) {
      const rootfs = createRootfs<number>(LIMITS);
      let stored = 0;
      // twice: whiteouts and links of the second layer apply to the first
      for (const layer of ['first', 'second']) {
        rootfs.beginLayer(layer);
        for await (const event of scanTar(inPieces(input), { limits: LIMITS, where: layer })) {
          if (event.kind === 'entry') rootfs.add(event.entry, 0);
          else stored += event.data.length;
        }
      }
      assert.ok(stored <= 2 * input.length);
      for (const { path } of rootfs.nodes()) assert.ok(!path.split('/').includes('..'), path);
    },
  };
}
