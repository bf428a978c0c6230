/** Benchmark of layers that can be recompressed to the same bytes, by compressor. See `--help`. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { EXIT_CODES, PanamaxError } from '../lib/errors.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { openImage, type Image, type Layer } from '../lib/image/open.ts';
import { correctionSize } from '../lib/compression/corrected/corrected.ts';
import { findCompression, findCorrection, isCorrectable, readHead } from '../lib/image/compression/detect.ts';
import type { Compression } from '../lib/compression/recipe.ts';
import { createScratch } from '../lib/runtime/scratch.ts';
import { runCommand } from './command.ts';
import { createServices, ENGINES, type Services, type Subject } from './compressors.ts';
import { findProgram } from '../test/support/programs.ts';

const HELP = `Counts the compressed layers that panamax can recompress to the same bytes.

Usage: npm run bench:recompress -- CORPUS [options]

CORPUS is a directory of OCI layouts, one image each, and of docker archives of the same images.

  --images NAME,…   images of CORPUS (default: base-trixie, nginx-r2, node-app-r3)
  --only TEXT       only compressors with this text in their names
  --scratch DIR     directory for layers (default: TMPDIR)
`;

const READ_SIZE = 256 * 1024;
const LEVELS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const PYTHON = `
import sys, zlib
deflate = zlib.compressobj(int(sys.argv[1]), zlib.DEFLATED, 31)
for piece in iter(lambda: sys.stdin.buffer.read(1 << 20), b''): sys.stdout.buffer.write(deflate.compress(piece))
sys.stdout.buffer.write(deflate.flush())
`;

const NODE = `
process.stdin.pipe(zlib.createGzip({ level: Number(process.argv[1]) })).pipe(process.stdout);
`;

const NODE_ZSTD = `
const params = { [zlib.constants.ZSTD_c_compressionLevel]: Number(process.argv[1]) };
process.stdin.pipe(zlib.createZstdCompress({ params })).pipe(process.stdout);
`;

/** Programs that compress a single layer from standard input. */
const FILTERS: readonly { name: string; command: readonly [string, ...string[]] }[] = [
  ...LEVELS.map((level) => ({ name: `gzip -${level}`, command: ['gzip', '-c', `-${level}`] as const })),
  ...LEVELS.map((level) => ({
    name: `pigz -${level}`,
    command: ['pigz', '-c', '-p4', `-${level}`] as const,
  })),
  ...[1, 6, 9].map((level) => ({
    name: `pigz -p1 -${level}`,
    command: ['pigz', '-c', '-p1', `-${level}`] as const,
  })),
  ...[1, 6, 9].map((level) => ({
    name: `zlib ${level} (Python)`,
    command: ['python3', '-c', PYTHON, String(level)] as const,
  })),
  ...[1, 6, 9, 12].map((level) => ({
    name: `libdeflate -${level}`,
    command: ['libdeflate-gzip', '-c', `-${level}`] as const,
  })),
  ...[1, 6, 9].map((level) => ({
    name: `zlib ${level} of Node`,
    command: [process.execPath, '-e', NODE, String(level)] as const,
  })),
  ...[3, 19].map((level) => ({
    name: `zstd -${level}`,
    command: ['zstd', '-qc', `-${level}`] as const,
  })),
  ...[1, 3, 9, 19].map((level) => ({
    name: `libzstd ${level} of Node`,
    command: [process.execPath, '-e', NODE_ZSTD, String(level)] as const,
  })),
  ...[1, 3, 9, 19].map((level) => ({
    name: `libzstd ${level} of Rust's zstd`,
    command: ['libzstd-judge', String(level), '--checksum'] as const,
  })),
];

interface Tally {
  readonly name: string;
  layers: number;
  found: number;
  bytes: number;
  foundBytes: number;
  /** Bytes of corrections, over all layers with one. */
  correctionBytes: number;
  tarBytes: number;
  /** Processor time of the search. */
  seconds: number;
  readonly encoders: Set<string>;
}

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      images: { type: 'string', default: 'base-trixie,nginx-r2,node-app-r3' },
      only: { type: 'string', default: '' },
      scratch: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const [corpus] = positionals;
  if (corpus === undefined) throw new PanamaxError('usage', 'no corpus directory', { expected: HELP });
  await using scratch = await createScratch(values.scratch);
  await using services = createServices(scratch.path);
  const tallies: Tally[] = [];
  const layouts = values.images.split(',').map((name) => ({ name, layout: join(corpus, name) }));
  const isWanted = (name: string) => name.includes(values.only);

  const stands = tallyOf('as in the corpus');
  if (isWanted(stands.name)) {
    for (const { layout } of layouts) await judgeImage(stands, await open(layout), scratch.path);
    tallies.push(stands);
  }

  for (const engine of ENGINES.filter(({ name }) => isWanted(name))) {
    if (engine.programs.some((program) => !findProgram(program))) {
      process.stderr.write(`${engine.name}: not installed\n`);
      continue;
    }
    const tally = tallyOf(engine.name);
    for (const { name } of layouts) {
      const subject = await subjectOf(corpus, name, services);
      const layout = join(scratch.path, 'layout');
      await engine.compress(subject, layout, services);
      await judgeImage(tally, await open(layout), scratch.path);
      await rm(layout, { recursive: true });
    }
    tallies.push(tally);
    process.stderr.write(`${line(tally)}\n`);
  }

  for (const { name, command } of FILTERS.filter(({ name }) => isWanted(name))) {
    const tally = tallyOf(name);
    for (const { layout } of layouts) {
      for (const layer of (await open(layout)).layers) {
        const [tar, blob] = ['tar', 'blob'].map((part) => join(scratch.path, part)) as [string, string];
        await pipeline(layer.tar(), createWriteStream(tar));
        await filter(command, tar, blob);
        await judge(tally, await layerOf(blob, layer), tar);
      }
    }
    tallies.push(tally);
    process.stderr.write(`${line(tally)}\n`);
  }
  const head = [
    '| Compressed by | Layers recompressed | Bytes | Encoder | Corrections | CPU per 100 MB of tar |',
    '| --- | --- | --- | --- | --- | --- |',
  ];
  process.stdout.write(`${[...head, ...tallies.map(line)].join('\n')}\n`);
}

function tallyOf(name: string): Tally {
  return {
    name,
    layers: 0,
    found: 0,
    bytes: 0,
    foundBytes: 0,
    correctionBytes: 0,
    tarBytes: 0,
    seconds: 0,
    encoders: new Set(),
  };
}

function line(tally: Tally): string {
  const { name, layers, found, bytes, foundBytes, correctionBytes, tarBytes, seconds, encoders } = tally;
  const names = [...encoders].toSorted().join(', ') || 'none';
  const share = correctionBytes > 0 ? `${((100 * correctionBytes) / foundBytes).toFixed(2)} %` : '';
  const per100 = ((seconds / tarBytes) * 1e8).toFixed(1);
  const cells = [
    name,
    `${found} of ${layers}`,
    `${megabytes(foundBytes)} of ${megabytes(bytes)}`,
    names,
    share,
    `${per100} s`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const megabytes = (size: number): string => `${(size / 1e6).toFixed(1)} MB`;

const open = async (layout: string): Promise<Image> =>
  openImage({ transport: 'oci', path: layout }, { limits: DEFAULT_LIMITS });

type JudgedLayer = Pick<Layer, 'blob' | 'descriptor' | 'diffID'>;

async function judgeImage(tally: Tally, image: Image, scratch: string): Promise<void> {
  const tar = join(scratch, 'tar');
  for (const layer of image.layers) {
    await pipeline(layer.tar(), createWriteStream(tar));
    await judge(tally, layer, tar);
  }
}

/** @param tar path of the tar */
async function judge(tally: Tally, layer: JudgedLayer, tar: string): Promise<void> {
  const before = process.cpuUsage();
  const read = () => createReadStream(tar, { highWaterMark: READ_SIZE });
  const known = { ...layer, head: await readHead(layer) };
  const compression =
    (await findCompression(known, read)) ??
    (isCorrectable(known) ? await findCorrection(known, () => layer.blob(), read) : undefined);
  const { user, system } = process.cpuUsage(before);
  tally.seconds += (user + system) / 1e6;
  tally.tarBytes += (await stat(tar)).size;
  tally.layers++;
  tally.bytes += layer.descriptor.size;
  if (!compression) return;
  tally.found++;
  tally.foundBytes += layer.descriptor.size;
  if (compression.encoder === 'corrected') tally.correctionBytes += correctionSize(compression);
  tally.encoders.add(described(compression));
}

function described(compression: Compression): string {
  return 'level' in compression ? `${compression.encoder} ${compression.level}` : compression.encoder;
}

async function subjectOf(corpus: string, name: string, { scratch }: Services): Promise<Subject> {
  const rootfs = join(scratch, `${name}.rootfs.tar`);
  const { layers } = await open(join(corpus, name));
  await pipeline(layers[0]!.tar(), createWriteStream(rootfs));
  return { name, archive: join(corpus, `${name}.docker.tar`), rootfs };
}

async function filter(
  [command, ...args]: readonly [string, ...string[]],
  from: string,
  to: string,
): Promise<void> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await Promise.all([
    pipeline(createReadStream(from), child.stdin),
    pipeline(child.stdout, createWriteStream(to)),
  ]);
}

/** A layer made from a file. */
async function layerOf(path: string, { diffID, descriptor }: Layer): Promise<JudgedLayer> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of createReadStream(path)) {
    hash.update(piece as Buffer);
    size += (piece as Buffer).length;
  }
  return {
    diffID,
    descriptor: { ...descriptor, digest: `sha256:${hash.digest('hex')}`, size },
    blob: () => createReadStream(path),
  };
}

for (const event of ['SIGINT', 'SIGTERM'] as const) {
  process.once(event, () => process.exit(EXIT_CODES.interrupted));
}
await runCommand(main);
