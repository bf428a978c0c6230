/** Command lines in README and docs name commands and options that exist. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseArguments } from '../../bin/arguments.ts';
import { COMMANDS } from '../../bin/commands.ts';

const ROOT = join(import.meta.dirname, '../..');
/** A line of a block, after `- ` in a list of commands or `$ ` in a transcript. */
const LINE = /^(?: {4,}|\s*- |\$ )(?:\$ )?(?:[A-Z_]+=\S+ )*panamax ([a-z]+)((?: .*)?)$/;

/** The command lines of a document, with placeholders and comments removed. */
function linesOf(text: string): { name: string; argv: string[]; line: string }[] {
  const joined = text.replaceAll(/\\\n\s*/g, '');
  return joined.split('\n').flatMap((line) => {
    const [, name, rest] = LINE.exec(line) ?? [];
    if (name === undefined) return [];
    const words = rest!
      .replace(/ {2,}#.*$/, '')
      .replace(/ (?:>|<|\||&&|;) .*$/, '')
      .replaceAll(/[[\]"']/g, '')
      .split(/\s+/)
      .filter((word) => word !== '' && word !== '|' && word !== 'or');
    return [{ name, argv: words, line: line.trim() }];
  });
}

test('finds command lines in the README', () => {
  assert.ok(linesOf(readFileSync(join(ROOT, 'README.md'), 'utf8')).length > 20);
});

for (const file of ['README.md', ...globSync('docs/*.md', { cwd: ROOT }).sort()]) {
  test(`${file} names commands and options that exist`, async () => {
    for (const { name, argv, line } of linesOf(readFileSync(join(ROOT, file), 'utf8'))) {
      assert.ok(Object.hasOwn(COMMANDS, name) || name === 'help', line);
      const { options } = name === 'help' ? { options: {} } : await COMMANDS[name]!();
      assert.doesNotThrow(
        () =>
          parseArguments(
            argv.map((word) => word.split('|')[0]!),
            options,
            {},
          ),
        line,
      );
    }
  });
}

test('docs/troubleshooting.md quotes messages that exist', () => {
  const files = globSync('{bin,lib,producers,workers}/**/*.ts', { cwd: ROOT });
  const source = files.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
  const rows = readFileSync(join(ROOT, 'docs/troubleshooting.md'), 'utf8').matchAll(/^\| (`.*?`) +\|/gm);
  let quoted = 0;
  for (const [, cell] of rows) {
    for (const [, message] of cell!.matchAll(/`([^`]+)`/g)) {
      const parts = message!.split(/\.\.\./).map((part) => part.trim());
      // words that the code puts together are not looked for
      for (const part of parts.filter((one) => one.length > 6 && !one.startsWith('--'))) {
        assert.ok(source.replaceAll("\\'", "'").includes(part), part);
        quoted++;
      }
    }
  }
  assert.ok(quoted > 20, String(quoted));
});
