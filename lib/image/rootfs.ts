import { PanamaxError, type ErrorFacts } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { cleanPath, copyTree, createResolver, type Directory, type Link, type Route } from './path.ts';
import type { ByteString, EntryType, TarEntry } from './tar/entry.ts';
import { metadataBudget, metadataSize } from './tar/reader.ts';

/** The fields of a tar entry that count for a flattened image. */
export type RootfsEntry = Omit<TarEntry, 'bodyOffset' | 'bodySize' | 'end'>;

/** An inode of the flattened image. Paths that share one node are hardlinks of each other. */
export interface RootfsNode<Content> extends Pick<
  TarEntry,
  'size' | 'linkPath' | 'mode' | 'uid' | 'gid' | 'mtime' | 'devMajor' | 'devMinor' | 'xattrs'
> {
  readonly type: Exclude<EntryType, 'hardlink'>;
  /** For regular files: the value that was given to `add`. */
  readonly content: Content | undefined;
}

export interface RootfsItem<Content> {
  /** Relative to the root and normalized; '' for the root itself. */
  readonly path: ByteString;
  readonly node: RootfsNode<Content>;
}

export interface Rootfs<Content> {
  /** Starts the next layer, bottom first. `where` names it in errors. */
  beginLayer(where: string): void;
  /** Applies an entry of the layer. `content` is kept in the node of a regular file. */
  add(entry: RootfsEntry, content?: Content): void;
  /** All paths after the layers so far, in bytewise order. */
  nodes(): RootfsItem<Content>[];
  /** The regular files among them, in the same order. */
  files(): Iterable<RootfsItem<Content>>;
  /** Another one with the layers so far, to which other layers are added. */
  copy(): Rootfs<Content>;
}

type Children<Node> = Map<ByteString, Link<Node>>;

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Prefix of AUFS's own files, which are neither whiteouts nor content. */
const AUFS = '.wh..wh.';
/** Directory in which AUFS kept files with several hardlinks. */
const AUFS_LINKS = '.wh..wh.plnk';

/**
 * Flattens the layers of an image to the root filesystem that a container engine would make (OCI image specification,
 * layer.md, "Applying Changesets"). Entries are applied in order, like `umoci unpack` does: symlinks in parents are
 * followed within the root; parents that are missing or not directories become directories; a whiteout only hides
 * paths of lower layers; a hardlink shares its target's node at that moment, metadata included.
 *
 * @throws PanamaxError `bad-input` for entries that engines refuse: paths out of the root, hardlinks to missing paths
 *   or directories, loops of symlinks, whiteouts of '.' and '..', a root that is not a directory; `limit`
 */
export function createRootfs<Content>(limits: Limits): Rootfs<Content> {
  return rootfsOf(limits, {
    root: { node: impliedDirectory(), children: new Map(), layer: 0 },
    layer: 0,
    layerName: '',
    names: 0,
    expanded: 0,
    metadata: 0,
  });
}

/** A tree and the counts that are limited. */
interface RootfsState<Node> {
  readonly root: Directory<Node>;
  readonly layer: number;
  readonly layerName: string;
  readonly names: number;
  readonly expanded: number;
  readonly metadata: number;
}

function rootfsOf<Content>(
  limits: Limits,
  { root, ...counts }: RootfsState<RootfsNode<Content>>,
): Rootfs<Content> {
  type Node = RootfsNode<Content>;

  const rootChildren = root.children;
  const resolve = createResolver(root, limits);
  let { layer, layerName, names, expanded, metadata } = counts;
  const budget = metadataBudget(limits);

  function add(entry: RootfsEntry, content?: Content): void {
    const where = `${layerName} at offset ${entry.offset}, entry ${entry.path}`;
    countName(where);
    expanded += entry.size;
    if (expanded > limits.maxImageSize) refuseLimit('image is over maxImageSize', limits.maxImageSize, where);
    metadata += metadataSize(entry);
    if (metadata > budget) refuseLimit('image has too much metadata for maxEntries', budget, where);

    const parents = cleanPath(entry.path, where);
    const name = parents.pop();
    if (name === undefined) {
      if (entry.type !== 'directory') refuse('root is not a directory', { found: entry.type, where });
      root.node = nodeOf<Content>(entry);
      return;
    }
    const top = parents[0];
    if (top?.startsWith(AUFS) && top !== AUFS_LINKS) return;
    const route = resolve(parents, where);
    if (name.startsWith(WHITEOUT)) hide(endOf(route), name, where);
    else put(makeDirectories(route, where), name, entry, content, where);
  }

  function put(
    children: Children<Node>,
    name: ByteString,
    entry: RootfsEntry,
    content: Content | undefined,
    where: string,
  ): void {
    const old = children.get(name);
    if (entry.type === 'directory' && old?.children) {
      old.node = nodeOf<Content>(entry);
      old.layer = layer;
      return;
    }
    // the old name is removed first, so a hardlink cannot refer to the file it replaces
    children.delete(name);
    const node = entry.type === 'hardlink' ? hardlinked(entry, where) : nodeOf(entry, content);
    if (node.type === 'symlink' && !node.linkPath) refuse('symlink without a target', { where });
    children.set(name, node.type === 'directory' ? { node, children: new Map(), layer } : { node, layer });
  }

  function hardlinked(entry: RootfsEntry, where: string): Node {
    const parents = cleanPath(entry.linkPath, where);
    const name = parents.pop();
    const link = name === undefined ? root : endOf(resolve(parents, where))?.children?.get(name);
    if (!link) refuse('hardlink to a missing path', { found: entry.linkPath, where });
    if (link.children) refuse('hardlink to a directory', { found: entry.linkPath, where });
    return link.node;
  }

  /** Applies a whiteout: removes paths of lower layers, also if it comes after new entries of its own layer. */
  function hide(directory: Link<Node> | undefined, whiteout: ByteString, where: string): void {
    if (whiteout === OPAQUE) {
      if (directory) hideBelow(directory);
      return;
    }
    const name = whiteout.slice(WHITEOUT.length);
    if (['', '.', '..'].includes(name)) refuse('whiteout without a name', { where });
    const link = directory?.children?.get(name);
    if (link?.layer === layer) hideBelow(link);
    else directory?.children?.delete(name);
  }

  function hideBelow(link: Link<Node>): void {
    const touched = [link];
    for (const directory of touched) {
      // paths that were added since are of this layer and stay
      if (!directory.children || directory.opaqueLayer === layer) continue;
      directory.opaqueLayer = layer;
      for (const [name, child] of directory.children) {
        if (child.layer === layer) touched.push(child);
        else directory.children.delete(name);
      }
    }
  }

  /**
   * Creates the missing directories of a route, marks all of them as of this layer, and returns the last one's
   * children.
   */
  function makeDirectories(route: Route<Node>, where: string): Children<Node> {
    let children = rootChildren;
    for (const [i, name] of route.names.entries()) {
      const link = route.links[i];
      if (link?.children) {
        link.layer = layer;
        children = link.children;
      } else {
        countName(where);
        const made: Children<Node> = new Map();
        children.set(name, { node: impliedDirectory(), children: made, layer });
        children = made;
      }
    }
    return children;
  }

  function endOf({ links }: Route<Node>): Link<Node> | undefined {
    return links.length === 0 ? root : links.at(-1);
  }

  function countName(where: string): void {
    if (++names > limits.maxEntries) refuseLimit('image is over maxEntries', limits.maxEntries, where);
  }

  /**
   * Sorts each directory on its own, to hold fewer paths at once. A directory sorts as `name/`, which gives the
   * bytewise order of full paths.
   */
  function* files(): Generator<RootfsItem<Content>, void, void> {
    rootChildren.delete(AUFS_LINKS);
    let pathBytes = 0;
    const open = [{ prefix: '', children: rootChildren, names: namesOf(rootChildren) }];
    for (let directory = open.at(-1); directory; directory = open.at(-1)) {
      const name = directory.names.pop();
      if (name === undefined) {
        open.pop();
        continue;
      }
      const path = directory.prefix + name;
      pathBytes += name.endsWith('/') ? path.length - 1 : path.length;
      if (pathBytes > budget) refuseLimit('paths are too long together for maxEntries', budget, layerName);
      if (name.endsWith('/')) {
        const { children } = directory.children.get(name.slice(0, -1))!;
        open.push({ prefix: path, children: children!, names: namesOf(children!) });
      } else {
        const { node } = directory.children.get(name)!;
        if (node.type === 'file') yield { path, node };
      }
    }
  }

  return {
    files,
    beginLayer(where) {
      rootChildren.delete(AUFS_LINKS);
      layer++;
      layerName = where;
    },
    add,
    copy: () => rootfsOf(limits, { root: copyTree(root), layer, layerName, names, expanded, metadata }),
    nodes() {
      rootChildren.delete(AUFS_LINKS);
      const items: RootfsItem<Content>[] = [{ path: '', node: root.node }];
      let pathBytes = 0;
      const directories = [{ prefix: '', children: rootChildren }];
      for (const { prefix, children } of directories) {
        for (const [name, link] of children) {
          const path = prefix + name;
          pathBytes += path.length;
          if (pathBytes > budget)
            refuseLimit('paths are too long together for maxEntries', budget, layerName);
          items.push({ path, node: link.node });
          if (link.children) directories.push({ prefix: `${path}/`, children: link.children });
        }
      }
      return items.sort((a, b) => (a.path < b.path ? -1 : 1));
    },
  };
}

/** Names in descending order; those of directories end in a slash. */
function namesOf<Node>(children: Children<Node>): ByteString[] {
  return Array.from(children, ([name, link]) => (link.children ? `${name}/` : name))
    .sort()
    .reverse();
}

function nodeOf<Content>(entry: RootfsEntry, content?: Content): RootfsNode<Content> {
  const { type, size, linkPath, mode, uid, gid, mtime, devMajor, devMinor, xattrs } = entry;
  if (type === 'hardlink') throw new TypeError('a hardlink has no node of its own');
  return { type, size, linkPath, mode, uid, gid, mtime, devMajor, devMinor, xattrs, content };
}

/** A directory that has no entry in the tar. */
function impliedDirectory(): RootfsNode<never> {
  return {
    type: 'directory',
    size: 0,
    linkPath: '',
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: 0,
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    content: undefined,
  };
}

function refuse(what: string, facts: ErrorFacts): never {
  throw new PanamaxError('bad-input', what, facts);
}

function refuseLimit(what: string, limit: number, where: string): never {
  throw new PanamaxError('limit', what, { expected: `at most ${limit}`, where });
}
