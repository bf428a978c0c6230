import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { ByteString } from './tar/entry.ts';

/** An entry of a directory: a name's node. */
export interface Link<Node> {
  node: Node;
  /** Only for directories. */
  readonly children?: Map<ByteString, Link<Node>>;
  /** The last layer with an entry for this name or below it. */
  layer: number;
  /** The last layer that made this directory opaque. */
  opaqueLayer?: number;
}

export type Directory<Node> = Link<Node> & Required<Pick<Link<Node>, 'children'>>;

/** The components of a path with symlinks resolved, and their links; undefined for those that do not exist. */
export interface Route<Node> {
  readonly names: readonly ByteString[];
  readonly links: readonly (Link<Node> | undefined)[];
}

/** The limit of Linux (path_resolution(7)). */
const MAX_SYMLINKS = 40;
/**
 * Without a limit, a million paths through forty long symlinks each would take an hour to resolve. The limit grows with
 * the paths that are there, so that a small layer takes little time. Paths of real images take ten steps on average.
 */
const FREE_STEPS = 1_000_000;
const MAX_STEPS_PER_PATH = 40;

/**
 * Splits a path below the root into components. Like engines, it resolves '.' and '..' lexically, before any symlink.
 * The root itself has no components.
 *
 * @throws PanamaxError `bad-input` if a relative path leads out of the root
 */
export function cleanPath(path: ByteString, where: string): ByteString[] {
  const components: ByteString[] = [];
  for (const component of path.split('/')) {
    if (component === '' || component === '.') continue;
    if (component !== '..') components.push(component);
    else if (components.pop() === undefined && !path.startsWith('/')) {
      throw new PanamaxError('bad-input', 'path leads out of the root', { found: path, where });
    }
  }
  return components;
}

/**
 * Creates a function that resolves paths like a process inside the root: absolute symlinks start at the root, and
 * '..' of the root is the root. Missing components are treated as directories.
 */
export function createResolver<Node extends { readonly linkPath: ByteString }>(
  root: Link<Node>,
  limits: Limits,
): (components: readonly ByteString[], where: string) => Route<Node> {
  let maxSteps = Math.min(FREE_STEPS, limits.maxEntries * 100);
  let steps = 0;

  return (components, where) => {
    maxSteps += MAX_STEPS_PER_PATH;
    const pending = components.toReversed();
    const names: ByteString[] = [];
    const links: (Link<Node> | undefined)[] = [];
    let symlinks = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (++steps > maxSteps) {
        throw new PanamaxError('limit', 'paths take too many steps to resolve', {
          expected: `at most ${maxSteps}`,
          where,
        });
      }
      if (name === '' || name === '.') continue;
      if (name === '..') {
        names.pop();
        links.pop();
        continue;
      }
      const parent = links.length === 0 ? root : links.at(-1);
      const link = parent?.children?.get(name);
      const target = link?.node.linkPath;
      if (!target) {
        names.push(name);
        links.push(link);
        continue;
      }
      if (++symlinks > MAX_SYMLINKS) {
        const facts = { expected: `at most ${MAX_SYMLINKS} symlinks`, where };
        throw new PanamaxError('bad-input', 'path runs through a loop of symlinks', facts);
      }
      if (target.startsWith('/')) names.length = links.length = 0;
      pending.push(...target.split('/').reverse());
    }
    const length = names.reduce((sum, name) => sum + name.length + 1, 0);
    if (length > limits.maxPathLength) {
      const facts = { expected: `at most ${limits.maxPathLength}`, found: length, where };
      throw new PanamaxError('limit', 'path with its symlinks resolved is over maxPathLength', facts);
    }
    return { names, links };
  };
}

/** A copy of a tree; nodes are shared, since they never change. */
export function copyTree<Node>(root: Directory<Node>): Directory<Node> {
  const copyOf = (directory: Directory<Node>) => ({ ...directory, children: new Map(directory.children) });
  const top = copyOf(root);
  const directories = [top];
  for (const { children } of directories) {
    for (const [name, link] of children) {
      if (!isDirectory(link)) {
        children.set(name, { ...link });
        continue;
      }
      const copy = copyOf(link);
      children.set(name, copy);
      directories.push(copy);
    }
  }
  return top;
}

function isDirectory<Node>(link: Link<Node>): link is Directory<Node> {
  return link.children !== undefined;
}
