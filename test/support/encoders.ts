/** Real encoders that compress a layer, each by the recipe's name for what it makes. */
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { temporaryDirectory } from './directory.ts';
import type { Scope } from './daemon.ts';

export interface RealEncoder {
  /** In recipes. */
  readonly name: string;
  readonly levels: readonly number[];
  readonly blockSize?: number;
  compress(input: Uint8Array, level: number): Promise<Buffer>;
}

const LEVELS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
/** What goes past a thread, in bytes. */
const PIGZ_BLOCK = 128 * 1024;
const PGZIP_BLOCK = 1024 * 1024;

/** Versions of klauspost/compress at the ends of the ranges that make the same, by their files in test/encoders. */
const KLAUSPOST = {
  'pgzip-1.14.4': 'klauspost-v1.14.4.mod',
  'pgzip-1.15.0': 'klauspost-v1.15.9.mod',
  'pgzip-1.15.10': 'klauspost-v1.18.0.mod',
  'pgzip-1.18.2': 'go.mod',
};

const PYTHON = `
import sys, zlib
data = sys.stdin.buffer.read()
deflate = zlib.compressobj(int(sys.argv[1]), zlib.DEFLATED, 31)
sys.stdout.buffer.write(deflate.compress(data) + deflate.flush())
`;

/** gzip, pigz, and zlib through Python. */
export const PROGRAMS: readonly RealEncoder[] = [
  program('gzip', (level) => ['gzip', '-nc', `-${level}`]),
  program('zlib', (level) => ['python3', '-c', PYTHON, String(level)]),
  program('pigz', (level) => ['pigz', '-nc', '-p4', `-${level}`], PIGZ_BLOCK),
  program('pigz-serial', (level) => ['pigz', '-nc', '-p1', `-${level}`], PIGZ_BLOCK),
];

/** Go's compress/gzip, and pgzip over several versions of klauspost/compress; built here. */
export async function buildGoEncoders(scope: Scope): Promise<RealEncoder[]> {
  const directory = await temporaryDirectory(scope);
  const source = join(import.meta.dirname, '..', 'encoders');
  const encoders: RealEncoder[] = [];
  for (const [name, modfile] of Object.entries(KLAUSPOST)) {
    const path = join(directory, name);
    const args = ['build', `-modfile=${modfile}`, '-o', path, '.'];
    await promisify(execFile)('go', args, { cwd: source });
    encoders.push({ ...program(name, () => [path, 'pgzip', '-1'], PGZIP_BLOCK), levels: [5] });
    if (modfile === 'go.mod') encoders.push(program('go', (level) => [path, 'go', String(level)]));
  }
  return encoders;
}

function program(
  name: string,
  command: (level: number) => readonly string[],
  blockSize?: number,
): RealEncoder {
  return {
    name,
    levels: LEVELS,
    ...(blockSize !== undefined && { blockSize }),
    compress: (input, level) => piped(command(level), input),
  };
}

async function piped([command, ...args]: readonly string[], input: Uint8Array): Promise<Buffer> {
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const output = buffer(child.stdout);
  child.stdin.end(input);
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`${command} ended with ${String(code)}`);
  return output;
}
