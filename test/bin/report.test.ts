/** The page about a run: complete without a network, safe with hostile names, sorted and filtered in a browser. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { PageData, PatchRow } from '../../bin/report/data.ts';
import { splitRelease } from '../../bin/report/data.ts';
import { formatPage } from '../../bin/report/page.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { panamax, panamaxFails, panamaxJson } from '../support/commands.ts';
import { missing } from '../support/programs.ts';
import { writeRelease } from '../support/releases.ts';

const run = promisify(execFile);
const EVIL = `docker://host/app:"><script>alert(1)</script>'&`;

function rowOf(target: string, actual: number | undefined): PatchRow {
  const sizes = { predicted: 2000, actual, pull: 100_000, identical: 10, changed: 20, fresh: 30 };
  return {
    target,
    source: 'oci:old',
    format: 'xdelta',
    seconds: 1.5,
    result: actual ? 'patch' : 'not worth a patch',
    ...sizes,
  };
}

const DATA: PageData = {
  run: 'one',
  store: 's3://bucket',
  started: '2026-01-01T00:00:00.000Z',
  finished: '2026-01-01T00:01:00.000Z',
  images: 3,
  bytes: { pull: 300_000, patches: 21_000, saved: 279_000 },
  encodeSeconds: 4.5,
  rows: [
    rowOf('oci:app-1.0', 1000),
    rowOf('oci:app-1.1', 20_000),
    rowOf(EVIL, 300),
    rowOf('oci:b', undefined),
  ],
  stages: [
    { stage: 'signature', seconds: 10, items: 3 },
    { stage: 'pairing', seconds: 1, items: 3 },
    { stage: 'delta', seconds: 49, items: 4 },
  ],
  failures: [{ what: EVIL, kind: 'io', message: '<img src=x onerror=alert(2)>' }],
};

describe('the page of a run', () => {
  test('needs no other file and escapes names', () => {
    const page = formatPage(DATA);
    assert.doesNotMatch(page, /<script>alert|<img/);
    assert.equal(page.match(/<script/g)?.length, 1);
    assert.doesNotMatch(page, /\b(?:src|href)="(?!#)|url\(|@import/);
    assert.match(page, /default-src 'none'/);
    for (const title of ['Savings by image and release', 'Failures', 'Time by stage'])
      assert.ok(page.includes(title));
    // each plot has a name and a description for screen readers
    assert.equal(page.match(/<svg role="img"/g)?.length, page.match(/<title id=.*?<desc id=/g)?.length);
  });

  test('splits references into image and release', () => {
    assert.deepEqual(splitRelease('docker://host:5000/app:v1.2'), {
      image: 'host:5000/app',
      release: 'v1.2',
    });
    assert.deepEqual(splitRelease('oci:dir/app-1.0'), { image: 'dir/app', release: '1.0' });
    assert.deepEqual(splitRelease('/images/app'), { image: '/images/app', release: '' });
  });

  test('sorts and filters its tables in a browser', { skip: missing('chromium') }, async (t) => {
    const directory = await temporaryDirectory(t);
    const actions = `<script>
      const heading = document.querySelector('#patches th:nth-child(7) button');
      heading.click();
      heading.click();
      const field = document.getElementById('patches-f');
      field.value = 'oci:APP xdelta';
      field.dispatchEvent(new Event('input'));
      document.title = [...document.querySelectorAll('#patches tbody tr:not([hidden])')].map((row) => row.cells[0].textContent).join(' ');
    </script></body>`;
    const file = join(directory, 'page.html');
    await writeFile(
      file,
      formatPage(DATA).replace('</body>', () => actions),
    );
    const profile = `--user-data-dir=${join(directory, 'profile')}`;
    const { stdout } = await run('chromium', [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      profile,
      '--dump-dom',
      `file://${file}`,
    ]);
    assert.match(stdout, /<title>oci:app-1\.1 oci:app-1\.0<\/title>/);
    assert.match(stdout, /aria-sort="descending"/);
    assert.match(stdout, />2 rows<\/output>/);
  });

  test('is written for a run of a store', async (t) => {
    const directory = await temporaryDirectory(t);
    for (const release of [1, 2]) await writeRelease(join(directory, `app-${release}.0`), 1, release);
    const store = ['--store', join(directory, 'store')];
    const images = [1, 2].map((release) => join(directory, `app-${release}.0`));
    const { id } = await panamaxJson<{ id: string }>('backfill', ...images, '--effort', 'fast', ...store);
    const output = join(directory, 'report.html');
    const { size } = await panamaxJson<{ size: number }>('report', id, '-o', output, ...store);
    const { stdout } = await panamax('report', id, '-o', '-', ...store);
    assert.equal(Buffer.byteLength(stdout), size);
    assert.match(stdout, /<dt>patches<\/dt><dd>2<\/dd>/);
    await panamaxFails('not-found', /no report yet/, 'report', 'none', '-o', output, ...store);
  });
});
