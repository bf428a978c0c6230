/** Real encoders that compress a layer, named as in recipes. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { atEnd, fileScope } from './scope.ts';

export interface RealEncoder {
  /** Name of the encoder in recipes. */
  readonly name: string;
  readonly levels: readonly number[];
  readonly blockSize?: number;
  compress(input: Uint8Array, level: number): Promise<Buffer>;
}

const LEVELS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
/** Bytes that a program compresses per thread. */
const PIGZ_BLOCK = 128 * 1024;
const PGZIP_BLOCK = 1024 * 1024;

/**
 * First and last versions of klauspost/compress with the same output: their module files in test/encoders, and their
 * names in recipes.
 */
const KLAUSPOST: readonly { readonly modfile: string; readonly pgzip?: string; readonly zstd?: string }[] = [
  { modfile: 'klauspost-v1.14.4.mod', pgzip: 'pgzip-1.14.4', zstd: 'klauspost-zstd-1.13.6' },
  { modfile: 'klauspost-v1.15.9.mod', pgzip: 'pgzip-1.15.0', zstd: 'klauspost-zstd-1.13.6' },
  { modfile: 'klauspost-v1.16.7.mod', zstd: 'klauspost-zstd-1.16.4' },
  { modfile: 'klauspost-v1.17.7.mod', zstd: 'klauspost-zstd-1.17.0' },
  { modfile: 'klauspost-v1.18.0.mod', pgzip: 'pgzip-1.15.10', zstd: 'klauspost-zstd-1.17.8' },
  { modfile: 'go.mod', pgzip: 'pgzip-1.18.2', zstd: 'klauspost-zstd-1.17.8' },
];

/** Answers requests as test/encoders/main.go does. */
const PYTHON = `
import sys, zlib
for line in sys.stdin.buffer:
    encoder, level, size = line.split()
    deflate = zlib.compressobj(int(level), zlib.DEFLATED, 31)
    made = deflate.compress(sys.stdin.buffer.read(int(size))) + deflate.flush()
    sys.stdout.buffer.write(b'%d\\n' % len(made) + made)
    sys.stdout.buffer.flush()
`;

const scope = fileScope();

type Compress = (encoder: string, level: number, input: Uint8Array) => Promise<Buffer>;

/** Starts a program that compresses one input after the other, until the file's tests end. */
function startServer(program: string, ...args: readonly string[]): Compress {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(scope, async () => {
    const closed = once(child, 'close');
    child.stdin.end();
    await closed;
  });
  const pieces = child.stdout.iterator() as AsyncIterator<Buffer>;
  let unread = Buffer.alloc(0);
  const more = async () => {
    const { done, value } = await pieces.next();
    if (done) throw new Error(`${program} has ended`);
    unread = Buffer.concat([unread, value]);
  };
  return async (encoder, level, input) => {
    child.stdin.write(`${encoder} ${level} ${input.length}\n`);
    child.stdin.write(input);
    while (!unread.includes('\n')) await more();
    const start = unread.indexOf('\n') + 1;
    const end = start + Number(unread.toString('latin1', 0, start));
    while (unread.length < end) await more();
    const made = unread.subarray(start, end);
    unread = unread.subarray(end);
    return made;
  };
}

let python: Compress | undefined;

function compressWithZlib(input: Uint8Array, level: number): Promise<Buffer> {
  python ??= startServer('python3', '-I', '-S', '-c', PYTHON);
  return python('zlib', level, input);
}

/** gzip, pigz, and zlib through Python. */
export const PROGRAMS: readonly RealEncoder[] = [
  program('gzip', (level) => ['gzip', '-nc', `-${level}`]),
  { name: 'zlib', levels: LEVELS, compress: compressWithZlib },
  program('pigz', (level) => ['pigz', '-nc', '-p4', `-${level}`], PIGZ_BLOCK),
  program('pigz-serial', (level) => ['pigz', '-nc', '-p1', `-${level}`], PIGZ_BLOCK),
];

/** Go's compress/gzip, and pgzip and zstd of several versions of klauspost/compress, built once and kept. */
export async function buildGoEncoders(): Promise<RealEncoder[]> {
  const source = join(import.meta.dirname, '..', 'encoders');
  const directory = await buildOnce(source);
  const encoders: RealEncoder[] = [];
  for (const { modfile, pgzip, zstd } of KLAUSPOST) {
    const compress = startServer(join(directory, modfile.replace('.mod', '')));
    if (pgzip) {
      const levels = [5];
      encoders.push({
        name: pgzip,
        levels,
        blockSize: PGZIP_BLOCK,
        compress: (input) => compress('pgzip', -1, input),
      });
    }
    if (zstd) encoders.push({ name: zstd, levels: [2], compress: (input) => compress('zstd', 2, input) });
    if (modfile === 'go.mod') {
      encoders.push({ name: 'go', levels: LEVELS, compress: (input, level) => compress('go', level, input) });
    }
  }
  return encoders;
}

/** Builds the programs into a cache directory that is named by the digest of their sources and of Go's version. */
async function buildOnce(source: string): Promise<string> {
  const run = promisify(execFile);
  const hash = createHash('sha256').update((await run('go', ['version'])).stdout);
  for (const name of globSync('*', { cwd: source }).sort()) hash.update(readFileSync(join(source, name)));
  const cache = join(homedir(), '.cache', 'panamax-judge');
  const directory = join(cache, `encoders-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(directory)) return directory;
  await mkdir(cache, { recursive: true });
  const building = await mkdtemp(`${directory}-`);
  for (const { modfile } of KLAUSPOST) {
    const output = join(building, modfile.replace('.mod', ''));
    await run('go', ['build', `-modfile=${modfile}`, '-o', output, '.'], { cwd: source });
  }
  try {
    await rename(building, directory);
  } catch (error) {
    // another process may have finished first
    await rm(building, { recursive: true });
    if (!existsSync(directory)) throw error;
  }
  return directory;
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

/** Output of a program for an input. */
export async function piped([command, ...args]: readonly string[], input: Uint8Array): Promise<Buffer> {
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const output = buffer(child.stdout);
  child.stdin.end(input);
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`${command} ended with ${String(code)}`);
  return output;
}
