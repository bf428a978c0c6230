import { layerRanges, type LayerStream } from '../lib/image/layerstream.ts';

/** Benchmark of the copied, changed and new bytes of targets, by kind of content. See `--help`. */
import { isUtf8 } from 'node:buffer';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { constants, zstdCompressSync } from 'node:zlib';
import { type Alignments } from '../lib/delta/align/alignment.ts';
import { alignStreams } from '../lib/delta/align/alignstreams.ts';
import { PanamaxError } from '../lib/errors.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { createScratch } from '../lib/runtime/scratch.ts';
import { scanTarFile } from '../lib/image/tar/file.ts';
import { runCommand } from './command.ts';
import { DEFAULT_PAIRS, openCorpus, parsePairs } from './corpus.ts';
import { pairName } from './results.ts';
import { fileOf } from './unpacked.ts';

const HELP = `Counts copied, changed and new bytes of an image relative to another, by kind of content.

Usage: npm run bench:breakdown -- CORPUS [options]

CORPUS is a directory of OCI layouts, one image each. Tables are printed as Markdown. The last column is the size
of the differences and of the new bytes, compressed per kind by zstd at level 19. It estimates their size in a patch.

  --pairs SOURCE:TARGET,…  names in CORPUS (default: the ten pairs that goals are set for)
  --scratch DIR            directory for uncompressed layers (default: TMPDIR)
`;

const LEVEL_19 = { [constants.ZSTD_c_compressionLevel]: 19 };

const KINDS = ['executables', 'compressed', 'text', 'other', 'tar headers'] as const;
type Kind = (typeof KINDS)[number];

/** A part of the target's layer stream that ends at `end`. */
interface Stretch {
  readonly end: number;
  readonly kind: Kind;
}

interface Share {
  /** Bytes equal to aligned source bytes. */
  copied: number;
  /** Bytes of alignments with differences. */
  aligned: number;
  differing: number;
  fresh: number;
  /** Differences and new bytes, to be compressed. */
  readonly toCode: Uint8Array[];
}

async function main(argv: readonly string[]): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { pairs: text, scratch: { ...text, default: tmpdir() }, help: { type: 'boolean', short: 'h' } },
  });
  const [directory] = positionals;
  if (values.help) return void process.stdout.write(HELP);
  if (directory === undefined) throw new PanamaxError('usage', 'no corpus directory', { expected: HELP });
  const pairs = values.pairs === undefined ? DEFAULT_PAIRS : parsePairs(values.pairs);
  await using scratch = await createScratch(values.scratch);
  const corpus = await openCorpus(directory, pairs, scratch.path);
  for (const pair of pairs) {
    const source = (await corpus.image(pair.source)).stream;
    const target = (await corpus.image(pair.target)).stream;
    print(pairName(pair), await sharesOf(source, target));
  }
}

async function sharesOf(source: LayerStream, target: LayerStream): Promise<ReadonlyMap<Kind, Share>> {
  const alignments = await alignStreams(source, target);
  await using from = await open(fileOf(source));
  await using to = await open(fileOf(target));
  const shares = new Map<Kind, Share>(
    KINDS.map((kind) => [kind, { copied: 0, aligned: 0, differing: 0, fresh: 0, toCode: [] }]),
  );
  let at = 0;
  let next = 0;
  for await (const { end, kind } of stretchesOf(target, to)) {
    const share = shares.get(kind)!;
    while (at < end) {
      while (next < alignments.count && alignments.target[next]! + alignments.length[next]! <= at) next++;
      const until = Math.min(end, boundary(alignments, next, at));
      await account(share, from, to, alignments, next, at, until);
      at = until;
    }
  }
  return shares;
}

/** End of the alignment or the gap that contains `at`. */
function boundary({ count, target, length }: Alignments, next: number, at: number): number {
  if (next >= count) return Infinity;
  return target[next]! > at ? target[next]! : target[next]! + length[next]!;
}

async function account(
  share: Share,
  from: FileHandle,
  to: FileHandle,
  { count, target, source, exact }: Alignments,
  next: number,
  at: number,
  until: number,
): Promise<void> {
  const size = until - at;
  const isAligned = next < count && target[next]! <= at;
  if (isAligned && exact[next] === 1) {
    share.copied += size;
    return;
  }
  const bytes = await read(to, at, size);
  share.toCode.push(bytes);
  if (!isAligned) {
    share.fresh += size;
    return;
  }
  const old = await read(from, source[next]! + at - target[next]!, size);
  for (let i = 0; i < size; i++) {
    if (bytes[i] !== old[i]) share.differing++;
    bytes[i]! -= old[i]!;
  }
  share.aligned += size;
}

async function* stretchesOf(stream: LayerStream, file: FileHandle): AsyncGenerator<Stretch> {
  for (const range of layerRanges(stream)) {
    for await (const entry of scanTarFile(range, { limits: DEFAULT_LIMITS, where: range.path })) {
      yield { end: entry.bodyOffset, kind: 'tar headers' };
      const first = await read(file, entry.bodyOffset, Math.min(entry.bodySize, 4096));
      yield { end: entry.bodyOffset + entry.bodySize, kind: kindOf(first) };
      yield { end: entry.end, kind: 'tar headers' };
    }
    yield { end: range.end, kind: 'tar headers' };
  }
}

/** Magic numbers of gzip, zstd, xz, bzip2, zip, PNG, JPEG and WOFF 2. */
const COMPRESSED = /^(1f8b|28b52ffd|fd377a585a|425a68|504b0304|89504e47|ffd8ff|774f4632)/;

function kindOf(first: Buffer): Kind {
  const magic = first.toString('hex', 0, 6);
  if (magic.startsWith('7f454c46')) return 'executables';
  if (COMPRESSED.test(magic)) return 'compressed';
  // the last character may be incomplete
  return !first.includes(0) && isUtf8(first.subarray(0, first.findLastIndex((byte) => byte < 0x80) + 1))
    ? 'text'
    : 'other';
}

async function read(file: FileHandle, at: number, size: number): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0, size, at);
  return bytes;
}

function print(title: string, shares: ReadonlyMap<Kind, Share>): void {
  const lines = [
    `### ${title}`,
    '',
    '| kind | copied | changed, aligned | of it differing | new | coded |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const [kind, { copied, aligned, differing, fresh, toCode }] of shares) {
    const coded = zstdCompressSync(Buffer.concat(toCode), { params: LEVEL_19 }).length;
    const cells = [copied, aligned, differing, fresh, coded].map((value) => value.toLocaleString('en-US'));
    lines.push(`| ${kind} | ${cells.join(' | ')} |`);
  }
  process.stdout.write(`${lines.join('\n')}\n\n`);
}

await runCommand(main);
