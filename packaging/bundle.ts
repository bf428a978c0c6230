/**
 * Bundles panamax: a file for the command and one for each thread, without node_modules.
 *
 *     node packaging/bundle.ts [DIR]      default: bundle/
 */
import { build, transform, type BuildOptions, type Plugin } from 'esbuild';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { findCommit } from './commit.ts';

const ROOT = resolve(import.meta.dirname, '..');
const THREAD = /new URL\('(\.\/\w+\.ts)', import\.meta\.url\)/g;

/** Packages that are looked for and not found: native code that has replacements in JavaScript. */
const EXTERNAL = ['msgpackr-extract', 'bufferutil', 'utf-8-validate'];

/** The modules that run in threads. Their names are unique (test/runtime/threads.test.ts). */
export function findThreads(): string[] {
  return globSync('lib/**/*.ts', { cwd: ROOT })
    .filter((file) => file !== join('lib', 'runtime', 'thread.ts'))
    .flatMap((file) =>
      [...readFileSync(join(ROOT, file), 'utf8').matchAll(THREAD)].map(([, to]) => join(dirname(file), to!)),
    )
    .sort();
}

const COMMON: BuildOptions = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node24',
  external: EXTERNAL,
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  logLevel: 'error',
};

/** Bundles modules as ECMAScript modules, which find their threads beside themselves. */
export async function bundle(directory: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  await build({
    ...COMMON,
    entryPoints: ['bin/main.ts', ...findThreads()],
    entryNames: '[name]',
    outdir: directory,
    format: 'esm',
    define: { PANAMAX_BUILD: JSON.stringify(findCommit()) },
    // packages of the older module system load Node's modules at run time
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
  });
  // not bundled, since an old Node has to parse it
  const entry = readFileSync(join(ROOT, 'bin/panamax.ts'), 'utf8').replace("'./main.ts'", "'./main.js'");
  const { code } = await transform(entry, { loader: 'ts', target: 'node16', minifyWhitespace: true });
  writeFileSync(join(directory, 'panamax.js'), code, { mode: 0o755 });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}\n');
  for (const part of ['package.json', 'dist']) {
    const ui = join('node_modules', '@bull-board', 'ui', part);
    cpSync(join(ROOT, ui), join(directory, ui), { recursive: true });
  }
  cpSync(join(ROOT, 'LICENSE'), join(directory, 'LICENSE'));
}

const SCRIPT: BuildOptions = {
  format: 'cjs',
  define: {
    PANAMAX_BUILD: JSON.stringify(findCommit()),
    'import.meta.url': '"file:///panamax/panamax.js"',
    'import.meta.dirname': '"/panamax"',
  },
};

/** Puts the table of a site's commands in place of all commands. */
const SITE_COMMANDS: Plugin = {
  name: 'site-commands',
  setup(bundler) {
    bundler.onResolve({ filter: /\/commands\.ts$/ }, () => ({
      path: join(ROOT, 'packaging', 'sitecommands.ts'),
    }));
  },
};

/**
 * Bundles modules as scripts for a single executable, which has its threads as assets.
 *
 * @param isSite only with the commands of a site
 */
export async function bundleScripts(directory: string, isSite = false): Promise<void> {
  mkdirSync(directory, { recursive: true });
  await build({
    ...COMMON,
    ...SCRIPT,
    entryPoints: findThreads(),
    entryNames: '[name]',
    outdir: directory,
  });
  const contents = "import { main } from './bin/main.ts'; void main(process.argv.slice(2));";
  await build({
    ...COMMON,
    ...SCRIPT,
    plugins: isSite ? [SITE_COMMANDS] : [],
    stdin: { contents, resolveDir: ROOT },
    outfile: join(directory, 'panamax.js'),
  });
}

if (import.meta.main) {
  const directory = resolve(process.argv[2] ?? 'bundle');
  await bundle(directory);
  const threads = findThreads().map((file) => basename(file, '.ts'));
  process.stdout.write(`${directory}: panamax.js, main.js, ${threads.length} threads\n`);
}
