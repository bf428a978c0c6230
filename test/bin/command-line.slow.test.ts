/** The panamax command: help, options, exit codes and outputs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { formatShare, formatSize, formatTable, parseSize } from '../../bin/format.ts';
import { parseArguments } from '../../bin/arguments.ts';
import type { Options } from '../../bin/command.ts';
import { EXIT_CODES } from '../../lib/errors.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOf, writeLayout } from '../support/layout.ts';
import { panamax, panamaxFails, panamaxJson } from '../support/commands.ts';
import { panamax as panamaxAlone, startPanamax } from '../support/panamax.ts';
import { releaseLayers, writeRelease } from '../support/releases.ts';
import { writeTar } from '../support/tar.ts';

describe('help', () => {
  test('prints the commands and the exit codes', async () => {
    const { code, stdout, stderr } = await panamaxAlone('--help');
    assert.equal(code, 0);
    assert.equal(stderr, '');
    for (const command of ['backfill', 'diff', 'apply', 'rank', 'inspect']) {
      assert.match(stdout, new RegExp(`^  ${command} +[A-Z]`, 'm'));
    }
    for (const [kind, exit] of Object.entries(EXIT_CODES))
      assert.ok(stdout.includes(`${exit} ${kind}`), kind);
  });

  test('prints the options of a command', async () => {
    const { code, stdout } = await panamaxAlone('apply', '--help');
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: panamax apply PATCH -s IMAGE -o IMAGE \[options\]/m);
    for (const option of [
      '-s, --source',
      '-o, --output',
      '--json',
      '--max-image-size',
      '--scratch',
      '--platform',
    ]) {
      assert.ok(stdout.includes(`  ${option} `), option);
    }
  });

  test('is printed for a missing command, with exit code usage', async () => {
    const { code, stdout } = await panamaxAlone();
    assert.equal(code, EXIT_CODES.usage);
    assert.match(stdout, /^Usage: panamax COMMAND/m);
  });
});

describe('a wrong command line is refused', () => {
  const lines: readonly (readonly [RegExp, ...string[]])[] = [
    [/unknown command nonsense/, 'nonsense'],
    [/unknown command constructor/, 'constructor'],
    [/panamax inspect: unknown option --nonsense/, 'inspect', 'x', '--nonsense'],
    [/panamax inspect: takes IMAGE\|PATCH: found y/, 'inspect', 'x', 'y'],
    [/panamax diff: needs --output FILE/, 'diff', 'x', 'y'],
    [/panamax apply: needs --output IMAGE/, 'apply', 'x', '--source', 'y'],
    [/destination without a transport: expected one of oci: .* found y/, 'apply', 'x', '-s', 'y', '-o', 'y'],
    [/--concurrency: expected a whole number from 1, found 0/, 'backfill', 'x', '-j', '0'],
    [/--effort: expected fast or default or best, found much/, 'backfill', 'x', '--effort', 'much'],
    [
      /--max-image-size: expected a size such as 512M or 64G, found 1X/,
      'inspect',
      'x',
      '--max-image-size',
      '1X',
    ],
    [
      /not a platform: expected os\/architecture\[\/variant\], found arm64/,
      'inspect',
      'x',
      '--platform',
      'arm64',
    ],
    [
      /unknown transport; did you mean docker:\/\/ftp:x\?: expected oci: oci-archive: docker-archive: docker:.*, found ftp:x/,
      'inspect',
      'ftp:x',
    ],
    [/reference without a path: found oci::x/, 'inspect', 'oci::x'],
    [
      /--log-level: expected .*, found loud/,
      'rank',
      'x',
      '-s',
      'y',
      '--log-level',
      'loud',
      '--store',
      '/dev/null/x',
    ],
  ];
  for (const [message, ...args] of lines) {
    test(args.join(' '), () => panamaxFails('usage', message, ...args));
  }
});

describe('the parser of arguments', () => {
  const options: Options = {
    sources: { type: 'string', short: 's', multiple: true, help: '' },
    top: { type: 'string', default: '1', help: '' },
    json: { type: 'boolean', help: '' },
    'max-image-size': { type: 'string', default: '64G', help: '' },
  };

  test('adds operands after a repeatable option to its values, up to the next option', () => {
    for (const argv of [
      ['t', '--sources', 'a', 'b', '--top', '2', 'u'],
      ['--top=2', 't', 'u', '-s', 'a', '-s', 'b'],
      ['-sa', 'b', '--top', '2', '--', 't', 'u'],
      ['t', '--sources=a', 'b', '--json', '--top', '2', 'u'],
    ]) {
      const args = parseArguments(argv, options);
      assert.deepEqual(args.operands, ['t', 'u'], argv.join(' '));
      assert.deepEqual(args.list('sources'), ['a', 'b']);
      assert.equal(args.count('top'), 2);
    }
  });

  test('reads sizes with and without units, and refuses others', () => {
    for (const [text, size] of [
      ['1', 1],
      ['1000', 1000],
      ['64k', 65_536],
      ['1.5G', 1.5 * 1024 ** 3],
      ['2TiB', 2 * 1024 ** 4],
      ['3MB', 3 * 1024 ** 2],
    ] as const) {
      assert.equal(parseSize(text, '--size'), size, text);
    }
    for (const text of ['', '0', '-1', '1e3', 'G', '1GG', '9'.repeat(30), '99999T', 'Infinity']) {
      assert.throws(() => parseSize(text, '--size'), { kind: 'usage' }, text);
    }
  });

  test('formats sizes, shares and tables', () => {
    const sizes = [0, 999, 1000, 9994, 99_949, 999_499, 999_500, 70_400_000, 2 ** 50];
    assert.deepEqual(sizes.map(formatSize), [
      '0 B',
      '999 B',
      '1.00 kB',
      '9.99 kB',
      '99.9 kB',
      '999 kB',
      '1.00 MB',
      '70.4 MB',
      '1126 TB',
    ]);
    assert.deepEqual([formatShare(1, 3), formatShare(1, 30), formatShare(1, 0)], ['33.3 %', '3.33 %', '-']);
    const rows = [
      ['name', 'size'],
      ['a\x1b[2J', '10'],
    ];
    assert.equal(formatTable(rows, 1), 'name      size\na\\x1b[2J    10');
  });
});

async function twoReleases(t: TestContext): Promise<[directory: string, old: string, target: string]> {
  const directory = await temporaryDirectory(t);
  for (const release of [1, 2]) await writeRelease(join(directory, String(release)), 1, release);
  return [directory, join(directory, '1'), join(directory, '2')];
}

/** Runs a command whose output is no text. */
async function run(...args: string[]): Promise<{ bytes: Buffer; said: string }> {
  const child = startPanamax(args);
  const [bytes, said] = await Promise.all([buffer(child.stdout), text(child.stderr), once(child, 'close')]);
  assert.equal(child.exitCode, 0, said);
  return { bytes, said };
}

describe('diff, inspect, apply', () => {
  test('print their results as JSON', async (t) => {
    const [directory, old, target] = await twoReleases(t);
    const patch = join(directory, 'patch');
    interface Layered {
      readonly kind: string;
      readonly manifest: string;
      readonly config: string;
      readonly platform: string;
      readonly layers: readonly { diffID: string; size: number; digest: string; mediaType: string }[];
    }
    const made = await panamaxJson<Record<string, unknown>>('diff', old, target, '-o', patch);
    const bytes = await readFile(patch);
    assert.equal(made['size'], bytes.length);
    assert.equal(made['digest'], digestOf(bytes));
    assert.ok(bytes.length < Number(made['pullSize']));

    const image = await panamaxJson<Layered>('inspect', target);
    assert.equal(image.kind, 'image');
    assert.equal(image.manifest, made['target']);
    assert.deepEqual(
      image.layers.map(({ diffID }) => diffID),
      releaseLayers(1, 2).map(digestOf),
    );
    const inspected = await panamaxJson<Layered & { source: Layered; target: Layered; size: number }>(
      'inspect',
      patch,
    );
    assert.equal(inspected.kind, 'patch');
    assert.equal(inspected.size, bytes.length);
    assert.equal(inspected.source.manifest, made['source']);
    assert.equal(inspected.target.config, image.config);
    assert.equal(inspected.target.platform, 'linux/amd64');

    const output = `docker-archive:${directory}/new.tar:app:2`;
    const applied = await panamaxJson('apply', patch, '-s', old, '-o', output);
    assert.deepEqual(applied, {
      version: 1,
      image: image.config,
      manifest: null,
      platform: 'linux/amd64',
      output,
      patchSize: bytes.length,
    });
  });

  test('write a patch, an archive or a stream to standard output', async (t) => {
    const [directory, old, target] = await twoReleases(t);
    const patch = join(directory, 'patch');
    await writeFile(patch, (await run('diff', old, target, '-o', '-')).bytes);
    const stream = await run('apply', patch, '-s', old, '-o', 'stream:-');
    assert.ok(stream.bytes.equals(Buffer.concat(releaseLayers(1, 2))));
    const archive = join(directory, 'archive.tar');
    const { bytes, said } = await run('apply', patch, '-s', old, '-o', 'oci-archive:-');
    await writeFile(archive, bytes);
    const image = await panamaxJson<{ manifest: string }>('inspect', `oci-archive:${archive}`);
    assert.match(said, new RegExp(`oci-archive:-: image sha256:[0-9a-f]+, manifest ${image.manifest}`));
  });

  test('print their results as text', async (t) => {
    const [directory, old, target] = await twoReleases(t);
    const patch = join(directory, 'patch');
    const made = await panamax('diff', old, target, '-o', patch);
    const figures = '^.*patch: [\\d.]+ kB, [\\d.]+ % of the [\\d.]+ kB that a pull moves, in [\\d.]+ s';
    assert.match(made.stdout, new RegExp(`${figures}\\n$`));
    const other = join(directory, 'zstd');
    const layers = releaseLayers(1, 2);
    // two zstd frames per layer, which no known encoder writes
    const blobs = layers.map((layer) => {
      const parts = [layer.subarray(0, 1000), layer.subarray(1000)];
      return Buffer.concat(parts.map((part) => zstdCompressSync(part)));
    });
    await writeLayout(other, layers, { compression: 'zstd', blobs });
    const lost = await panamax('diff', old, other, '-o', `${patch}.zstd`);
    assert.match(
      lost.stdout,
      new RegExp(
        `${figures.replace('patch', 'patch.zstd')}; the rebuilt image will have another manifest digest\\n$`,
      ),
    );
    const inspected = await panamax('inspect', patch);
    assert.match(inspected.stdout, /^format +panamax\nsize +[\d.]+ kB\nsource +image sha256:/);
    for (const [output, shown] of [
      [`oci:${directory}/new`, /new: image sha256:\w{64}, manifest sha256:\w{64}\n$/],
      [`stream:${directory}/new.stream`, /new.stream: layer stream of image sha256:\w{64}\n$/],
    ] as const) {
      const applied = await panamax('apply', patch, '-s', old, '-o', output);
      assert.match(applied.stdout, shown);
      assert.equal(applied.stderr, '');
    }
  });

  test('escape control characters in the metadata of images', async (t) => {
    const directory = await temporaryDirectory(t);
    await writeLayout(directory, releaseLayers(1, 1), { architecture: 'amd64\x1b]0;title\x07' });
    const { code, stdout } = await panamax('inspect', directory);
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /[^\P{Cc}\n]/u);
    await panamaxFails(
      'not-found',
      /found linux\/amd64\\x1b\]0;title\\x07/,
      'inspect',
      directory,
      '--platform',
      'linux/amd64',
    );
  });

  test('refuse images and documents that exceed a limit', async (t) => {
    const [directory, old, target] = await twoReleases(t);
    const options = ['-o', join(directory, 'patch'), '--max-image-size', '100K'];
    await panamaxFails('limit', /maxImageSize: expected at most 102400/, 'diff', old, target, ...options);
    await writeFile(
      join(directory, 'bomb.tar'),
      writeTar([{ path: 'index.json', content: ' '.repeat(5 * 1024 ** 2) }]),
    );
    await panamaxFails('limit', /maxDocumentSize/, 'inspect', `oci-archive:${directory}/bomb.tar`);
  });

  test('fail with not-found for a missing patch, tag or directory', async (t) => {
    const [directory, old] = await twoReleases(t);
    await panamaxFails(
      'not-found',
      /no such patch: found .*none/,
      'apply',
      `${directory}/none`,
      '-s',
      old,
      '-o',
      'oci:x',
    );
    await panamaxFails('not-found', /no such tag: expected none, found latest/, 'inspect', `oci:${old}:none`);
    await panamaxFails('not-found', /ENOENT.*none/, 'diff', old, old, '-o', join(directory, 'none/patch'));
  });
});
