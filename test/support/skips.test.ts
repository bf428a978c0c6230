import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryDirectory } from './directory.ts';

const support = (name: string) => join(import.meta.dirname, name);

/** Runs a test file with a suite and a test that need a program, and one test that needs none. */
async function runSuite(
  t: TestContext,
  env: Readonly<Record<string, string>>,
  skip: string,
): Promise<{ code: number | null; output: string }> {
  const file = join(await temporaryDirectory(t), 'example.test.ts');
  const text = `
    import { describe, test } from 'node:test';
    import { missing } from ${JSON.stringify(support('programs.ts'))};
    describe('a private registry', { skip: ${skip} }, () => {
      test('one', () => {});
      test('two', () => {});
    });
    test('credentials', { skip: ${skip} }, () => {});
    test('names', () => {});
  `;
  await writeFile(file, text);
  const reporters = ['spec', support('skips.ts')].flatMap((reporter) => [
    `--test-reporter=${reporter}`,
    '--test-reporter-destination=stdout',
  ]);
  const { NODE_TEST_CONTEXT: _, CI: _ci, FAST_TESTS: _fast, ...clean } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--test', ...reporters, file], {
    env: { ...clean, ...env },
    encoding: 'utf8',
  });
  return { code: status, output: stdout + stderr };
}

describe('a suite without its program', () => {
  const program = `missing('no-such-program')`;

  test('is counted and named at the end of the run', async (t) => {
    const { code, output } = await runSuite(t, {}, program);
    assert.equal(code, 0, output);
    assert.match(output, /Skipped: 1 suite, 1 test besides\n {2}needs no-such-program:\n/);
    assert.match(output, /example\.test\.ts: a private registry\n.*example\.test\.ts: credentials\n/);
  });

  test('fails its file in CI', async (t) => {
    const { code, output } = await runSuite(t, { CI: 'true' }, program);
    assert.equal(code, 1, output);
    assert.match(output, /needs no-such-program: in CI no test is skipped/);
  });

  test('is named in a fast run, in CI, too, even where the program is installed', async (t) => {
    const { code, output } = await runSuite(t, { CI: 'true', FAST_TESTS: '1' }, `missing('sh')`);
    assert.equal(code, 0, output);
    assert.match(output, /Skipped: 1 suite, 1 test besides\n {2}needs sh, not in a fast run:\n/);
  });
});

test('a skip for any other reason fails a run in CI', async (t) => {
  const { code, output } = await runSuite(t, { CI: 'true' }, `'flaky'`);
  assert.equal(code, 1, output);
  assert.match(output, /Skipped: 1 suite, 1 test besides\n {2}flaky:/);
});

test('a run without skips prints no list', async (t) => {
  const { code, output } = await runSuite(t, { CI: 'true' }, `missing('sh')`);
  assert.equal(code, 0, output);
  assert.doesNotMatch(output, /Skipped/);
});
