import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { ByteString } from './tar/entry.ts';

/** A name in a directory. */
export interface Link<Node> {
  node: Node;
  /** Of a directory. */
  readonly children?: Map<ByteString, Link<Node>>;
  /** The last layer with an entry for this name or for something below it. */
  layer: number;
  /** The last layer that hid what lower ones had left in this directory. */
  opaqueLayer?: number;
}

/** The way from the root to a path, symlinks resolved; links are undefined from where nothing is there. */
export interface Route<Node> {
  readonly names: readonly ByteString[];
  readonly links: readonly (Link<Node> | undefined)[];
}

/** As many as Linux follows in one path (path_resolution(7)). */
const MAX_SYMLINKS = 40;
/** A million paths through forty long symlinks each would take an hour to resolve. */
const MAX_STEPS_PER_ENTRY = 100;

/**
 * The components of a path below the root, '.' and '..' worked out by the letters as engines do before they
 * look at any symlink; none for the root itself.
 *
 * @throws PanamaxError `bad-input` where a relative path leads out of the root
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
 * Makes a function that follows paths as a process inside the root would: symlinks are resolved, absolute ones
 * start at the root, '..' stops there. What is missing is taken for a directory to come.
 */
export function createResolver<Node extends { readonly linkPath: ByteString }>(
  root: Link<Node>,
  limits: Limits,
): (components: readonly ByteString[], where: string) => Route<Node> {
  const maxSteps = limits.maxEntries * MAX_STEPS_PER_ENTRY;
  let steps = 0;

  return (components, where) => {
    const pending = components.toReversed();
    const names: ByteString[] = [];
    const links: (Link<Node> | undefined)[] = [];
    let symlinks = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (++steps > maxSteps) {
        throw new PanamaxError('limit', 'paths take too many steps to resolve', {
          expected: maxSteps,
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
