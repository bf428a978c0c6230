/** The imports between the source files of this repository, read from their text. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

export interface Import {
  /** Path of the importing file, relative to the repository, with forward slashes. */
  readonly file: string;
  /** Line number, from 1. */
  readonly line: number;
  /** Path of the imported file, or the name of an npm package or of a Node module. */
  readonly target: string;
  readonly kind: 'file' | 'package' | 'node' | 'thread';
}

const ROOT = join(import.meta.dirname, '..', '..');

/**
 * Static imports and re-exports (types included), `import()` as an expression or as a type, and modules that a thread
 * starts. Prettier keeps the string on the line of `from`, or alone on the line behind `import(`.
 */
const STATEMENT = /^(?:import|export|\})(?:[^'"`]*? from)? '([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'/g;
const THREAD = /\bnew URL\(\s*'(\.[^']+)'/g;
const COMMENT_LINE = /^\s*(?:\/\/|\/?\*)/;

/** All imports of the TypeScript files in folders of the repository. */
export function readImports(folders: readonly string[]): Import[] {
  const files = folders.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: ROOT }));
  return files.sort().flatMap((file) => importsOf(file, readFileSync(join(ROOT, file), 'utf8')));
}

export function importsOf(file: string, text: string): Import[] {
  return [STATEMENT, DYNAMIC, THREAD].flatMap((pattern) =>
    [...text.matchAll(pattern)].flatMap((match): Import[] => {
      const before = text.slice(0, match.index + match[0].length).split('\n');
      if (COMMENT_LINE.test(before.at(-1)!)) return [];
      const specifier = match[1]!;
      const at = { file, line: before.length };
      if (!specifier.startsWith('.')) {
        if (specifier.startsWith('node:')) return [{ ...at, kind: 'node', target: specifier }];
        return [{ ...at, kind: 'package', target: packageOf(specifier) }];
      }
      const target = posix.join(dirname(file), specifier);
      if (pattern !== THREAD) return [{ ...at, kind: 'file', target }];
      // other URLs are files of other kinds
      const isModule = target.endsWith('.ts') && existsSync(join(ROOT, target));
      return isModule ? [{ ...at, kind: 'thread', target }] : [];
    }),
  );
}

/** The circles in a graph: its strongly connected components of two nodes and more (Tarjan, 1972). */
export function findCycles(edges: Iterable<readonly [from: string, to: string]>): string[][] {
  const graph = new Map<string, string[]>();
  for (const [from, to] of edges) graph.set(from, [...(graph.get(from) ?? []), to]);
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const open = new Set<string>();
  const cycles: string[][] = [];
  function visit(node: string): void {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    open.add(node);
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (open.has(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== index.get(node)) return;
    const members = stack.splice(stack.indexOf(node));
    for (const member of members) open.delete(member);
    if (members.length > 1) cycles.push(members.sort());
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return cycles;
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
