/**
 * A reporter for `node --test`: counts and names the suites and tests that were skipped. Node's own summary counts the
 * tests only, and the tests of a skipped suite not at all. With CI=true a skip fails the run.
 */
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export default async function* skips(events: AsyncIterable<TestEvent>): AsyncGenerator<string, void, void> {
  const byReason = new Map<string, string[]>();
  const counts = { suite: 0, test: 0 };
  for await (const { type, data } of events) {
    if (type !== 'test:pass' || data.skip === undefined) continue;
    const { skip, name, file, details } = data;
    counts[details.type === 'suite' ? 'suite' : 'test']++;
    const reason = skip === true || skip === '' ? 'no reason' : String(skip);
    const place = file === undefined ? '' : `${relative(process.cwd(), file)}: `;
    byReason.set(reason, [...(byReason.get(reason) ?? []), `${place}${name}`]);
  }
  if (byReason.size === 0) return;
  const suites = `${counts.suite} suite${counts.suite === 1 ? '' : 's'}`;
  const tests = `${counts.test} test${counts.test === 1 ? '' : 's'} besides`;
  yield `\nSkipped: ${suites}, ${tests}\n`;
  for (const [reason, names] of byReason) {
    yield `  ${reason}:\n${names.map((name) => `    ${name}\n`).join('')}`;
  }
  if (process.env['CI'] && !process.env['FAST_TESTS']) {
    yield 'In CI no test is skipped: the run fails.\n';
    process.exitCode = 1;
  }
}
