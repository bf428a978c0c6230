/** Imports between folders run one way, and a package is imported by the folder that wraps it. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { findCycles, importsOf, readImports, type Import } from './support/imports.ts';

/** The modules directly in `lib/`: errors, limits, log and the like. */
const BASE = 'lib/*';

/** Folders that read, compare and keep images; most others import several of them. */
const CORE = [BASE, 'lib/runtime', 'lib/compression', 'lib/image', 'lib/delta', 'lib/store'];

/**
 * A folder, and the other folders that its files may import. Types and `import()` count, and so do the modules that a
 * thread starts. A new folder of lib needs a row here.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  [BASE]: [],
  'lib/runtime': [BASE],
  'lib/compression': [BASE, 'lib/runtime'],
  'lib/image': [BASE, 'lib/runtime', 'lib/compression'],
  'lib/delta': [BASE, 'lib/runtime', 'lib/compression', 'lib/image'],
  'lib/store': [BASE, 'lib/runtime', 'lib/compression', 'lib/image', 'lib/delta'],
  'lib/pairing': CORE,
  'lib/site': CORE,
  'lib/run': [...CORE, 'lib/pairing'],
  'lib/retention': [...CORE, 'lib/pairing', 'lib/run'],
  'lib/queue': [...CORE, 'lib/pairing', 'lib/run'],
  'lib/web': [...CORE, 'lib/pairing', 'lib/run', 'lib/queue'],
  'lib/mirror': [...CORE, 'lib/site', 'lib/web'],
  workers: [...CORE, 'lib/pairing', 'lib/site', 'lib/run', 'lib/queue', 'lib/web'],
  producers: [...CORE, 'lib/pairing', 'lib/run', 'lib/queue', 'workers'],
  bin: [
    ...CORE,
    'lib/pairing',
    'lib/site',
    'lib/run',
    'lib/retention',
    'lib/queue',
    'lib/web',
    'lib/mirror',
    'workers',
    'producers',
  ],
  bench: [
    ...CORE,
    'lib/pairing',
    'lib/site',
    'lib/run',
    'lib/retention',
    'lib/queue',
    'workers',
    'producers',
    'bin',
    'test/support',
  ],
};

/** An npm package, and the files and folders that may import it. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  '@bull-board/api': ['lib/web/board.ts', 'lib/web/boardadapter.ts'],
  '@opentelemetry/api': ['lib/queue'],
  '@opentelemetry/context-async-hooks': ['lib/queue'],
  '@opentelemetry/core': ['lib/queue'],
  '@opentelemetry/exporter-trace-otlp-http': ['lib/queue'],
  '@opentelemetry/resources': ['lib/queue'],
  '@opentelemetry/sdk-trace': ['lib/queue'],
  'bullmq-otel': ['lib/queue'],
  // the board lists queues through adapters that take BullMQ's Queue
  bullmq: ['lib/queue', 'lib/web/board.ts'],
  ioredis: ['lib/queue'],
  minio: ['lib/store/objects'],
  pino: ['lib/log.ts'],
  'prom-client': ['workers/metrics.ts', 'lib/mirror/metrics.ts'],
  'tar-stream': ['lib/image', 'lib/delta', 'lib/store', 'bench'],
  valibot: ['lib', 'workers', 'producers', 'bin'],
  yaml: ['lib'],
};

/**
 * Folders with files that import their subfolders, and subfolders that import these folders' files. All other folders
 * have no circle, and subfolders of one folder never import each other in a circle.
 */
const PARENTS_IN_CYCLES = ['lib/compression', 'lib/delta', 'lib/site', 'workers', 'bin'];

const imports = readImports(['lib', 'workers', 'producers', 'bin', 'bench']);
const betweenFiles = imports.filter(({ kind }) => kind === 'file');

/** The row of the table that a file belongs to. */
function rowOf(path: string): string {
  const [top, next, ...rest] = path.split('/');
  if (top === 'lib') return rest.length === 0 ? BASE : `lib/${next}`;
  return top === 'test' ? `test/${next}` : top!;
}

function violation({ file, line, target, kind }: Import): string | undefined {
  const at = `${file}:${line} imports ${target}`;
  if (kind === 'package') {
    const allowed = PACKAGES[target];
    if (!allowed) return `${at}: a package without a row in PACKAGES`;
    if (allowed.some((place) => file === place || file.startsWith(`${place}/`))) return undefined;
    return `${at}: only ${allowed.join(', ')} may import it`;
  }
  if (kind === 'node') return undefined;
  const [from, to] = [rowOf(file), rowOf(target)];
  if (from === to) return undefined;
  const allowed = ALLOWED[from];
  if (!allowed) return `${at}: ${from} has no row in ALLOWED`;
  return allowed.includes(to)
    ? undefined
    : `${at}: ${from} may import ${allowed.join(', ') || 'nothing'} only`;
}

/** Names the imports that make up a circle of files or folders, a line each. */
function describeCycle(cycle: readonly string[], nodeOf: (path: string) => string | undefined): string {
  const members = new Set(cycle);
  const inside = betweenFiles.filter(({ file, target }) => {
    const [from, to] = [nodeOf(file), nodeOf(target)];
    return from !== to && members.has(from!) && members.has(to!);
  });
  const lines = inside.map(({ file, line, target }) => `  ${file}:${line} imports ${target}`);
  return [`these import each other: ${cycle.join(', ')}`, ...lines].join('\n');
}

function cyclesBetween(nodeOf: (path: string) => string | undefined): string[][] {
  const edges = betweenFiles.flatMap(({ file, target }) => {
    const [from, to] = [nodeOf(file), nodeOf(target)];
    return from === undefined || to === undefined || from === to ? [] : [[from, to] as const];
  });
  return findCycles(edges);
}

function assertNone(lines: readonly string[]): void {
  assert.ok(lines.length === 0, lines.join('\n'));
}

describe('imports', () => {
  test('name files that exist', () => {
    const absent = betweenFiles.filter(({ target }) => !existsSync(join(import.meta.dirname, '..', target)));
    assertNone(absent.map(({ file, line, target }) => `${file}:${line} imports ${target}: no such file`));
    assert.ok(betweenFiles.length > 1000, `${betweenFiles.length} imports`);
  });

  test('follow the tables of allowed folders and packages', () => {
    assertNone(imports.map(violation).filter((line) => line !== undefined));
  });

  test('do not reach the test files from elsewhere', () => {
    const reaching = imports.filter(({ target }) => target.endsWith('.test.ts'));
    assertNone(reaching.map(({ file, line, target }) => `${file}:${line} imports ${target}: a test file`));
  });

  test('of files have no circle', () => {
    const cycles = cyclesBetween((path) => path);
    assertNone(cycles.map((cycle) => describeCycle(cycle, (path) => path)));
  });

  test('of folders have no circle, except between a parent and its subfolders', () => {
    const cycles = cyclesBetween(dirname).filter((cycle) => {
      const [first] = cycle;
      return !PARENTS_IN_CYCLES.includes(first!) || !cycle.every((folder) => folder.startsWith(first!));
    });
    assertNone(cycles.map((cycle) => describeCycle(cycle, dirname)));
  });

  test('of the subfolders of one folder have no circle', () => {
    const parents = new Set(imports.flatMap(({ file }) => [dirname(file), dirname(dirname(file))]));
    for (const parent of [...parents].filter((path) => path !== '.' && path !== 'lib')) {
      const subfolder = (path: string) => {
        const [name, ...rest] = path.startsWith(`${parent}/`) ? path.slice(parent.length + 1).split('/') : [];
        return rest.length > 0 ? `${parent}/${name}` : undefined;
      };
      assertNone(cyclesBetween(subfolder).map((cycle) => describeCycle(cycle, subfolder)));
    }
  });
});

describe('the table', () => {
  const text = [
    "import { a } from '../delta/a.ts';",
    'import {',
    '  b,',
    "} from '../site/b.ts';",
    "import type { C } from './c.ts';",
    "export { d } from './d.ts';",
    "import './e.ts';",
    "const f = await import('bullmq');",
    "let g: import('@bull-board/api/dist/types.js').G;",
    "// import('../not/this.ts')",
    " * see '../nor/this.ts'",
    "  new URL('./signature/signaturethread.ts', import.meta.url),",
  ];
  const found = importsOf('lib/pairing/x.ts', text.join('\n'));

  test('sees imports of all forms, and their lines', () => {
    const seen = found.map(({ line, target, kind }) => [line, kind, target] as const);
    assert.deepEqual(seen, [
      [1, 'file', 'lib/delta/a.ts'],
      [4, 'file', 'lib/site/b.ts'],
      [5, 'file', 'lib/pairing/c.ts'],
      [6, 'file', 'lib/pairing/d.ts'],
      [7, 'file', 'lib/pairing/e.ts'],
      [8, 'package', 'bullmq'],
      [9, 'package', '@bull-board/api'],
      [12, 'thread', 'lib/pairing/signature/signaturethread.ts'],
    ]);
  });

  test('names file, line and rule of an import that it forbids', () => {
    assert.deepEqual(found.map(violation).filter(Boolean), [
      `lib/pairing/x.ts:4 imports lib/site/b.ts: lib/pairing may import ${ALLOWED['lib/pairing']!.join(', ')} only`,
      'lib/pairing/x.ts:8 imports bullmq: only lib/queue, lib/web/board.ts may import it',
      'lib/pairing/x.ts:9 imports @bull-board/api: only lib/web/board.ts, lib/web/boardadapter.ts may import it',
    ]);
    assert.match(violation({ file: 'lib/new/x.ts', line: 1, kind: 'file', target: 'lib/log.ts' })!, /no row/);
  });

  test('finds circles', () => {
    const edges = ['ab', 'bc', 'ca', 'cd', 'de', 'ed', 'ef'].map((pair) => [pair[0]!, pair[1]!] as const);
    assert.deepEqual(findCycles(edges), [
      ['d', 'e'],
      ['a', 'b', 'c'],
    ]);
  });
});
