/** Comments are plain statements: clauses built on "who" and "what" are rare in them. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
const COMMENT_LINE = /^\s*(?:\/\/|\*|\/\*)/;
const RIDDLE = /\b(?:who|what|whatever|whoever)\b/i;
const LIMIT = 0.01;

for (const folder of ['lib', 'bin', 'workers', 'producers', 'bench', 'test']) {
  test(`uses who and what in at most 1 % of the comment lines of ${folder}`, () => {
    const comments = globSync(`${folder}/**/*.ts`, { cwd: ROOT })
      .sort()
      .flatMap((file) => {
        const lines = readFileSync(join(ROOT, file), 'utf8').split('\n');
        return lines.map((text, i) => ({ place: `${file}:${i + 1}`, text: text.trim() }));
      })
      .filter(({ text }) => COMMENT_LINE.test(text));
    const riddles = comments.filter(({ text }) => RIDDLE.test(text));
    const report = riddles.map(({ place, text }) => `${place}: ${text}`).join('\n');
    assert.ok(
      riddles.length <= Math.max(1, LIMIT * comments.length),
      `${riddles.length} of ${comments.length} comment lines:\n${report}`,
    );
  });
}
