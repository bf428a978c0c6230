import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parseArguments } from '../../bin/arguments.ts';
import { loadCommands } from '../../bin/commands.ts';
import { readConfig } from '../../bin/config.ts';
import type { PanamaxError } from '../../lib/errors.ts';
import { temporaryDirectory } from '../support/directory.ts';

const table = new Map(await loadCommands());

/** Writes a configuration file and gives the arguments of commands that run with it. */
async function configure(t: TestContext, text: string) {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'config.yaml');
  await writeFile(path, text);
  return async (command: string, argv: string[] = [], env: NodeJS.ProcessEnv = {}) => {
    const { options } = table.get(command)!;
    const config = await readConfig(command, options, loadCommands, { PANAMAX_CONFIG: path });
    return parseArguments(argv, options, env, config);
  };
}

test('gives values that neither the command line nor the environment has', async (t) => {
  const parse = await configure(t, 'store: s3://patches\nverify-key: [a.pub, b.pub]\ntls-verify: false\n');
  const args = await parse('pull', ['name']);
  assert.equal(args.text('store'), 's3://patches');
  assert.deepEqual(args.list('verify-key'), ['a.pub', 'b.pub']);
  assert.equal(args.text('tls-verify'), 'false');
  assert.equal((await parse('pull', [], { PANAMAX_STORE: 'there' })).text('store'), 'there');
  assert.equal((await parse('pull', ['--store', 'here'], { PANAMAX_STORE: 'there' })).text('store'), 'here');
});

test('a section holds for its command, before the values for all', async (t) => {
  const parse = await configure(t, 'store: all\npull:\n  store: sites\n  engine: docker-daemon\n');
  assert.equal((await parse('pull')).text('store'), 'sites');
  assert.equal((await parse('pull')).text('engine'), 'docker-daemon');
  assert.equal((await parse('backfill')).text('store'), 'all');
});

test('an empty file and options of other commands are accepted', async (t) => {
  assert.equal((await (await configure(t, ''))('backfill')).text('store'), 'panamax-store');
  assert.equal((await (await configure(t, 'redis: redis://r\n'))('diff')).text('redis'), undefined);
});

test('the file is looked for below XDG_CONFIG_HOME', async (t) => {
  const home = await temporaryDirectory(t);
  await mkdir(join(home, 'panamax'));
  await writeFile(join(home, 'panamax', 'config.yaml'), 'store: found\n');
  const { options } = table.get('pull')!;
  const config = await readConfig('pull', options, loadCommands, { XDG_CONFIG_HOME: home });
  assert.deepEqual(config.get('store'), ['found']);
});

const REFUSED: Record<string, [text: string, message: RegExp]> = {
  'a mistyped option': ['stroe: x\n', /unknown option stroe \(did you mean store\?\).*config\.yaml/],
  'a mistyped option of a command': [
    'pull:\n  engin: x\n',
    /unknown option engin \(did you mean engine\?\).*yaml pull/,
  ],
  'an option of another command': ['pull:\n  redis: x\n', /unknown option redis/],
  'an option without a variable': ['json: true\n', /--json has to be on the command line/],
  'a list for a single value': ['store: [a, b]\n', /the value of store.*expected a text or a number/],
  'a nested value': ['store:\n  a: b\n', /the value of store/],
  'a list': ['- store\n', /not a configuration.*OPTION: VALUE/],
  'a line that is not YAML': ['redis: r\nstore: [\n', /not YAML.* at line 3, column 1: in .*config\.yaml/],
  'a name of the prototype': ['constructor: x\n', /unknown option constructor/],
};
for (const [title, [text, message]] of Object.entries(REFUSED)) {
  test(`refuses ${title}`, async (t) => {
    const parse = await configure(t, text);
    await assert.rejects(parse('pull'), (error: PanamaxError) => {
      assert.equal(error.kind, 'bad-input');
      assert.match(error.message, message);
      return true;
    });
  });
}

test('refuses a file that PANAMAX_CONFIG names and is missing', async () => {
  const { options } = table.get('pull')!;
  await assert.rejects(readConfig('pull', options, loadCommands, { PANAMAX_CONFIG: '/none/config.yaml' }), {
    kind: 'not-found',
  });
});
