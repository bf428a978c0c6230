/** Documents that commands print with --json fit the schemas that docs/json.md is made of. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { COMMANDS } from '../../bin/commands.ts';
import { ERROR_SCHEMA, SCHEMAS } from '../../bin/schemas.ts';
import { formatDocument } from '../../packaging/jsondocs.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { panamax } from '../support/commands.ts';
import { writeRelease } from '../support/releases.ts';

test('docs/json.md has the schemas', async () => {
  assert.equal(await readFile(join(import.meta.dirname, '../../docs/json.md'), 'utf8'), formatDocument());
});

test('every command with --json has a schema', async () => {
  for (const [name, load] of Object.entries(COMMANDS)) {
    assert.equal('json' in (await load()).options, name in SCHEMAS, name);
  }
});

test('commands print documents that fit', async (t) => {
  const directory = await temporaryDirectory(t);
  const file = (name: string) => join(directory, name);
  for (const release of [1, 2]) await writeRelease(file(`app-${release}`), 1, release);
  const [old, target] = [file('app-1'), file('app-2')];
  const inventory = file('sites.yaml');
  await writeFile(inventory, `sites:\n  shop: [${old}]\n`);
  const store = ['--store', file('store')];
  const seen = new Set<string>();

  /** Runs a command and checks its document. */
  async function check(...args: readonly string[]): Promise<Record<string, unknown>> {
    const [name] = args;
    const { code, stdout, stderr } = await panamax(...args, '--json');
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    const document = JSON.parse(stdout) as Record<string, unknown>;
    const issues = SCHEMAS[name!]!.map((schema) => v.safeParse(schema, document).issues?.map(summaryOf));
    assert.ok(
      issues.some((found) => found === undefined),
      `${args.join(' ')}: ${JSON.stringify(issues)}\n${stdout}`,
    );
    seen.add(name!);
    return document;
  }

  await check('version');
  await check('mirror', 'config', 'podman', '--upstream', 'registry.example');
  await check('keygen', file('owner'));
  await check('diff', old, target, '-o', file('patch'));
  await check('apply', file('patch'), '-s', old, '-o', `oci:${file('rebuilt')}`);
  await check('inspect', file('patch'));
  await check('inspect', target);
  const { id } = await check('backfill', target, '--sources', old, '--effort', 'fast', ...store);
  await check('status', ...store);
  await check('status', String(id), ...store);
  await check('report', String(id), '-o', file('page.html'), ...store);
  await check('rank', target, '--sources', old, ...store);
  await check('similar', target, '--explain', ...store);
  await check('plan', target, '--inventory', inventory, ...store);
  await check('calibrate', ...store);
  await check('tag', 'host.example/app:2', target, ...store);
  await check('bundle', 'host.example/app:2', '-o', file('bundle'), ...store);
  await check('check', ...store);
  await check('gc', '--keep-last', '1', ...store);
  const site = ['--engine', 'none', '-s', old, '--state', file('state'), '-o', `oci:${file('pulled')}`];
  await check('pull', 'host.example/app:2', ...site, ...store);
  // these need Redis or a registry; their tests are elsewhere
  assert.deepEqual(
    Object.keys(SCHEMAS).filter((name) => !seen.has(name)),
    ['enqueue', 'index', 'publish'],
  );
  const { stderr } = await panamax('inspect', file('none'), '--json');
  v.parse(ERROR_SCHEMA, JSON.parse(stderr));
});

function summaryOf(issue: v.BaseIssue<unknown>): string {
  return `${v.getDotPath(issue)}: ${issue.message}`;
}
