/** The command line: options, variables, messages for wrong calls, scripts for shells, manual pages. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { checkArguments, parseArguments } from '../../bin/arguments.ts';
import { loadCommands } from '../../bin/commands.ts';
import { SHELLS } from '../../bin/completion.ts';
import { formatHelp, formatOverview } from '../../bin/help.ts';
import { formatCommandManual, formatManual } from '../../bin/manual.ts';
import { findSimilar } from '../../bin/suggestion.ts';
import { EXIT_CODES } from '../../lib/errors.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { missing } from '../support/programs.ts';
import { MAIN, panamax, panamaxFails } from '../support/panamax.ts';

const commands = await loadCommands();
const table = new Map(commands);

/** The message for a command line that is refused. */
function messageOf(line: string, env: NodeJS.ProcessEnv = {}): string {
  const [name, ...argv] = line.split(' ');
  const command = table.get(name!)!;
  try {
    checkArguments(command, parseArguments(argv, command.options, env));
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe('wrong calls', () => {
  const calls: readonly (readonly [line: string, message: string])[] = [
    ['diff', 'needs OLD, NEW and --output FILE'],
    ['diff a -o x', 'needs OLD and NEW'],
    ['diff a b', 'needs --output FILE'],
    ['diff a b c -o x', 'takes OLD and NEW: found c'],
    ['diff a b --out x', 'unknown option --out; did you mean --output?'],
    ['diff a b -o', '-o needs a value: expected FILE'],
    ['diff a b -o --json', '-o needs a value: expected FILE'],
    ['diff a b -x x', 'unknown option -x'],
    ['apply', 'needs PATCH, --source IMAGE and --output IMAGE'],
    ['apply p -s', 'needs --source IMAGE and --output IMAGE'],
    ['inspect', 'needs IMAGE|PATCH'],
    ['inspect x y', 'takes IMAGE|PATCH: found y'],
    ['inspect x --josn', 'unknown option --josn; did you mean --json?'],
    ['inspect x --json=yes', '--json takes no value'],
    ['inspect x --platform arm64', 'not a platform: expected os/architecture[/variant], found arm64'],
    ['status --sotre s', 'unknown option --sotre; did you mean --store?'],
    ['calibrate x', 'takes no operands: found x'],
    ['rank t', 'needs --sources IMAGE'],
    ['plan t', 'needs --inventory FILE'],
    ['pull', 'needs NAME'],
    ['keygen', 'needs NAME'],
    ['completion', 'needs SHELL'],
    ['publish', 'needs IMAGE...'],
  ];
  for (const [line, message] of calls) {
    test(`${line}: ${message}`, () => assert.equal(messageOf(line), message));
  }

  test('name the most similar command, and none for an unknown word', () => {
    const names = commands.map(([name]) => name);
    for (const [text, name] of [
      ['statsu', 'status'],
      ['inspct', 'inspect'],
      ['back', 'backfill'],
      ['pul', 'pull'],
      ['nonsense', undefined],
      ['', undefined],
    ] as const) {
      assert.equal(findSimilar(text, names), name, text);
    }
  });

  test('are reported as a line of JSON with --json', async () => {
    const { code, stdout, stderr } = await panamax('inspect', 'oci:/none', '--json');
    assert.equal(code, EXIT_CODES['not-found']);
    assert.equal(stdout, '');
    const { version, error } = JSON.parse(stderr) as { version: number; error: Record<string, unknown> };
    assert.equal(version, 1);
    assert.equal(error['kind'], 'not-found');
    assert.equal(error['exitCode'], EXIT_CODES['not-found']);
    assert.match(String(error['message']), /none/);
  });

  test('of the program itself suggest a command', () =>
    panamaxFails('usage', /^panamax: unknown command statsu; did you mean status\?\n$/, 'statsu'));
});

describe('environment variables', () => {
  test('are taken for options that the command line does not give', () => {
    const env = { PANAMAX_STORE: 's3://patches', PANAMAX_VERIFY_KEY: 'a.pub,b.pub', PANAMAX_MEMORY: '' };
    const options = { ...table.get('pull')!.options, ...table.get('backfill')!.options };
    const args = parseArguments([], options, env);
    assert.equal(args.text('store'), 's3://patches');
    assert.deepEqual(args.list('verify-key'), ['a.pub', 'b.pub']);
    assert.equal(args.text('memory'), undefined);
    const given = parseArguments(['--store', 'there', '--verify-key', 'c.pub'], options, env);
    assert.equal(given.text('store'), 'there');
    assert.deepEqual(given.list('verify-key'), ['c.pub']);
    assert.equal(parseArguments([], options, {}).text('store'), 'panamax-store');
  });

  test('turn flags on and off', () => {
    const { options } = table.get('mirror')!;
    const isOn = (text: string) =>
      parseArguments([], options, { PANAMAX_ASK_UPSTREAM: text }).flag('ask-upstream');
    assert.deepEqual([isOn('true'), isOn('false'), isOn('')], [true, false, false]);
    assert.throws(() => isOn('yes'), /PANAMAX_ASK_UPSTREAM: expected true or false, found yes/);
  });

  test('satisfy required options', () => {
    assert.equal(messageOf('plan t', { PANAMAX_INVENTORY: 'sites.yaml' }), '');
  });
});

describe('standard output', () => {
  test('on a full device is an io error', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'help'], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    });
    assert.equal(status, EXIT_CODES.io);
    assert.match(stderr, /^panamax: ENOSPC: .*: in standard output\n$/);
  });

  test('with the version names those of Node and the build', async () => {
    for (const argument of ['--version', '-V', 'version']) {
      const { code, stdout } = await panamax(argument);
      assert.equal(code, 0);
      assert.match(stdout, /^panamax \d+\.\d+\.\d+ \(\w+\), Node \d+\.\d+\.\d+, \w+\/\w+\n$/);
    }
  });
});

test('needs Node 24 and says so to older ones', () => {
  const entry = stripTypeScriptTypes(readFileSync(MAIN, 'utf8'));
  // what Node 16 does not parse
  assert.doesNotMatch(entry, /^\s*(?:import|export)\b(?!\()|\busing\b|\?\?=|^await|#[a-z]/m);
  const old = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.20.2'})";
  const { status, stderr } = spawnSync(process.execPath, ['--import', old, MAIN, '--version'], {
    encoding: 'utf8',
  });
  assert.equal(stderr, 'panamax: needs Node 24, found 20.20.2\n');
  assert.equal(status, EXIT_CODES.usage);
});

describe('descriptions of commands', () => {
  test('have one line for each option, in help, manual and completion', () => {
    assert.match(formatOverview(commands), /^ {2}diff +Makes the patch/m);
    for (const [name, command] of commands) {
      const help = formatHelp(name, command);
      const page = formatCommandManual(name, command);
      const scripts = [...SHELLS.values()].map((format) => format(commands));
      for (const option of Object.keys(command.options)) {
        assert.ok(help.includes(`--${option}`), `${name} --${option}`);
        assert.ok(page.includes(`\\-\\-${option.replaceAll('-', String.raw`\-`)}`), `${name} --${option}`);
        for (const script of scripts) assert.ok(script.includes(option), `${name} --${option}`);
      }
    }
    assert.match(formatManual(commands), /^\.TH PANAMAX 1/);
  });

  for (const shell of SHELLS.keys()) {
    test(`are a script that ${shell} parses`, { skip: missing(shell) }, async (t) => {
      const script = join(await temporaryDirectory(t), shell);
      await writeFile(script, SHELLS.get(shell)!(commands));
      const { status, stderr } = spawnSync(shell, ['-n', script], { encoding: 'utf8' });
      assert.equal(stderr, '');
      assert.equal(status, 0);
    });
  }

  test('complete options, values and commands in bash', () => {
    const input = `${SHELLS.get('bash')!(commands)}
${ask('panamax', 'st')}${ask('panamax', 'diff', '--for')}${ask('panamax', 'diff', '--effort', '')}`;
    const { stdout } = spawnSync('bash', ['--norc'], { input, encoding: 'utf8' });
    assert.deepEqual(stdout.trim().split('\n'), ['status', '--format', 'fast default best']);
  });
});

/** Shell commands that print the words that may follow. */
function ask(...words: readonly string[]): string {
  const list = words.map((word) => `'${word}'`).join(' ');
  return `COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _panamax; echo "\${COMPREPLY[@]}"\n`;
}
