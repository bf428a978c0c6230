/**
 * Compiles the Rust code of wasm/ to the WebAssembly modules that the TypeScript code embeds.
 *
 *     node packaging/wasm.ts          needs rustup, which installs the compiler of wasm/rust-toolchain.toml
 *     node packaging/wasm.ts --check  fails if a module differs from its source
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const SOURCES = join(ROOT, 'wasm');

/** Modules by their source. */
export const MODULES: Readonly<Record<string, string>> = {
  'align.rs': 'lib/delta/align/aligncode.ts',
  'deflate.rs': 'lib/compression/deflatecode.ts',
  'fresh.rs': 'lib/delta/formats/native/freshcode.ts',
  'lzma.rs': 'lib/compression/lzma/lzmacode.ts',
  'sketch.rs': 'lib/pairing/signature/sketchcode.ts',
  'zstd.rs': 'lib/compression/zstd/matchcode.ts',
};

const CODE_OPTIONS = [
  'opt-level=3',
  'panic=abort',
  'strip=symbols',
  'target-feature=+simd128,+bulk-memory',
  'link-arg=-zstack-size=16384',
];
const OPTIONS = '--target wasm32-unknown-unknown --crate-type cdylib --edition 2021'
  .split(' ')
  .concat(CODE_OPTIONS.flatMap((option) => ['-C', option]));

/** The TypeScript file that embeds the module of a source. */
function embedded(source: string): string {
  const scratch = mkdtempSync(join(tmpdir(), 'panamax-wasm-'));
  try {
    const path = join(scratch, 'module.wasm');
    execFileSync('rustc', [...OPTIONS, '-o', path, source], {
      cwd: SOURCES,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const code = readFileSync(path, 'base64');
    return `/** The module of wasm/${source}, written by packaging/wasm.ts. */\nexport const CODE =\n  '${code}';\n`;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

for (const [source, target] of Object.entries(MODULES)) {
  const text = embedded(source);
  const path = join(ROOT, target);
  if (!process.argv.includes('--check')) writeFileSync(path, text);
  else if (readFileSync(path, 'utf8') !== text) {
    process.stderr.write(`${target} is not what ${source} makes: run node packaging/wasm.ts\n`);
    process.exitCode = 1;
  }
}
