/** File trees in one form: flattened from layers by panamax, or unpacked by an engine and read from disk. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, type BigIntStats } from 'node:fs';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { createRootfs, type RootfsItem } from '../../lib/image/rootfs.ts';
import type { ByteString } from '../../lib/image/tar/entry.ts';
import { scan, type Scanned } from './scan.ts';
import { latin1 } from './tar.ts';

export interface TreeItem {
  readonly path: ByteString;
  readonly type: string;
  /** Undefined for symlinks, which have none. */
  readonly mode?: string;
  readonly owner: string;
  readonly size?: number;
  readonly digest?: string;
  readonly linkPath?: ByteString;
  readonly device?: string;
  /** Undefined for directories, which an engine changes. */
  readonly mtime?: number;
  readonly xattrs: Readonly<Record<string, ByteString>>;
  /** The first path with the same inode. Undefined for directories. */
  readonly inode?: ByteString;
}

/** Flattens layers, without the root itself. */
export async function flatten(layers: readonly Uint8Array[]): Promise<TreeItem[]> {
  return treeOf(await Promise.all(layers.map((layer) => scan([layer]))));
}

/** Flattens scanned layers. */
export function treeOf(layers: readonly (readonly Scanned[])[]): TreeItem[] {
  const rootfs = createRootfs<string>(DEFAULT_LIMITS);
  for (const [i, layer] of layers.entries()) {
    rootfs.beginLayer(`layer ${i}`);
    for (const { entry, content } of layer) {
      rootfs.add(entry, entry.type === 'file' ? digestOf(content) : undefined);
    }
  }
  const inodes = new Map<unknown, ByteString>();
  const items = rootfs.nodes();
  assert.deepEqual(
    [...rootfs.files()],
    items.filter(({ node }) => node.type === 'file'),
  );
  return items.filter(({ path }) => path !== '').map((item) => describeNode(item, inodes));
}

function describeNode({ path, node }: RootfsItem<string>, inodes: Map<unknown, ByteString>): TreeItem {
  if (!inodes.has(node)) inodes.set(node, path);
  return {
    path,
    type: node.type,
    owner: `${node.uid}:${node.gid}`,
    xattrs: sorted(node.xattrs),
    ...(node.type === 'symlink' ? { linkPath: node.linkPath } : { mode: node.mode.toString(8) }),
    ...(node.type === 'file' && { size: node.size, digest: node.content! }),
    ...((node.type === 'char' || node.type === 'block') && { device: `${node.devMajor}:${node.devMinor}` }),
    ...(node.type !== 'directory' && { mtime: node.mtime, inode: inodes.get(node)! }),
  };
}

/** Reads a directory, without the root itself. */
export async function readTree(root: string): Promise<TreeItem[]> {
  const xattrs = await readXattrs(root);
  const inodes = new Map<bigint, ByteString>();
  return listPaths(root).map((path) => {
    const file = Buffer.concat([latin1(`${root}/`), latin1(path)]);
    const stat = lstatSync(file, { bigint: true });
    const type = typeOf(stat);
    if (!inodes.has(stat.ino)) inodes.set(stat.ino, path);
    return {
      path,
      type,
      owner: `${stat.uid}:${stat.gid}`,
      xattrs: sorted(xattrs.get(path) ?? new Map()),
      ...(type === 'symlink'
        ? { linkPath: readlinkSync(file, 'latin1') }
        : { mode: (stat.mode & 0o7777n).toString(8) }),
      ...(type === 'file' && { size: Number(stat.size), digest: digestOf(readFileSync(file)) }),
      ...((type === 'char' || type === 'block') && { device: deviceOf(stat.rdev) }),
      ...(type !== 'directory' && { mtime: secondsOf(stat.mtimeNs), inode: inodes.get(stat.ino)! }),
    };
  });
}

/** In byte order, as in `Rootfs.nodes`. */
function listPaths(root: string): ByteString[] {
  const paths: ByteString[] = [];
  const directories: ByteString[] = [''];
  for (const directory of directories) {
    const options = { encoding: 'buffer', withFileTypes: true } as const;
    for (const found of readdirSync(latin1(`${root}/${directory}`), options)) {
      const path = directory + found.name.toString('latin1');
      paths.push(path);
      if (found.isDirectory()) directories.push(`${path}/`);
    }
  }
  return paths.sort((a, b) => (a < b ? -1 : 1));
}

/** Reads extended attributes through GNU tar, since Node has no call for them. */
async function readXattrs(root: string): Promise<Map<ByteString, ReadonlyMap<string, ByteString>>> {
  const options = ['--create', '--format=pax', '--xattrs', '--xattrs-include=*', `--directory=${root}`, '.'];
  const tar = execFileSync('tar', options, { maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'ignore'] });
  const xattrs = new Map<ByteString, ReadonlyMap<string, ByteString>>();
  for (const { entry } of await scan([tar])) {
    const path = clean(entry.path);
    xattrs.set(path, entry.type === 'hardlink' ? xattrs.get(clean(entry.linkPath))! : entry.xattrs);
  }
  return xattrs;
}

function clean(path: ByteString): ByteString {
  return path.replace(/^\.\/|\/$/g, '');
}

function typeOf(stat: BigIntStats): string {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isCharacterDevice()) return 'char';
  return stat.isBlockDevice() ? 'block' : 'fifo';
}

/** Linux's encoding of device numbers (makedev(3)). */
function deviceOf(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

function secondsOf(ns: bigint): number {
  return Number(ns / 10n ** 9n) + Number(ns % 10n ** 9n) / 1e9;
}

function sorted(xattrs: ReadonlyMap<string, ByteString>): Record<string, ByteString> {
  return Object.fromEntries([...xattrs].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function digestOf(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
