/** The live pages about a store, in a real browser: complete, refreshed, closed to other sites, safe with hostile names. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { plotReleases } from '../../bin/dashboard/graph.ts';
import { formatImage, formatOverview, type DashboardData } from '../../bin/dashboard/page.ts';
import { groupByImage, savingsOf } from '../../bin/dashboard/releases.ts';
import { LIVE } from '../../bin/dashboard/live.ts';
import { createDashboard } from '../../bin/dashboard/server.ts';
import type { PatchRow } from '../../bin/report/data.ts';
import { SCRIPT } from '../../bin/report/script.ts';
import { serve } from '../../lib/web/server.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { panamaxFails, panamaxJson } from '../support/commands.ts';
import { startPanamax } from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { largeLayers } from '../support/releases.ts';

const run = promisify(execFile);
const EVIL = `docker://host/app"><script>alert(1)</script>'&:1.0`;

function rowOf(target: string, source: string, actual: number | undefined = 1000): PatchRow {
  const parts = { predicted: 2000, pull: 100_000, identical: 10, changed: 20, fresh: 30 };
  return {
    target,
    source,
    format: 'xdelta',
    seconds: 1.5,
    result: actual ? 'patch' : 'pull',
    actual,
    ...parts,
  };
}

const APP = (tag: string) => `docker://host/app:${tag}`;
const ROWS = [
  rowOf(APP('1.10'), APP('1.9'), 5000),
  rowOf(APP('1.10'), APP('1.9'), 3000),
  rowOf(APP('1.9'), APP('1.2'), 2000),
  rowOf(APP('1.9'), APP('1.10'), 2500),
  rowOf(APP('1.10'), 'docker://host/base:1', 9000),
  rowOf(APP('2.0'), APP('1.10'), 0),
];

const DATA: DashboardData = {
  store: 's3://bucket',
  older: 0,
  runs: [
    { id: 'now', state: 'active', since: new Date('2026-01-02T00:00:00Z') },
    {
      id: 'one',
      state: 'over',
      since: new Date('2026-01-01T00:00:00Z'),
      status: {
        id: 'one',
        started: '',
        stages: {
          signature: { total: 3, done: 2, skipped: 1, failed: 0 },
          pairing: { total: 3, done: 3, skipped: 0, failed: 0 },
          delta: { total: 4, done: 3, skipped: 0, failed: 1 },
        },
        failures: [{ what: EVIL, error: { status: 'failed', error: { kind: 'io', message: 'm' } }.error }],
        bytes: { pull: 400_000, patches: 40_000, saved: 360_000 },
      } as never,
    },
  ],
  patches: [...ROWS, rowOf(EVIL, APP('1.9'))],
  sites: [{ site: EVIL, images: 2, targets: 1, pull: 100_000, patches: 3000 }],
  queues: { delta: { workers: 2, waiting: 7, active: 2, delayed: 1, failed: 0 } },
};

describe('the pages', () => {
  test('have nothing inline, nothing from elsewhere, and escape names', () => {
    const [, second] = groupByImage(DATA.patches);
    for (const page of [
      formatOverview(DATA),
      formatImage(DATA, 'host/app')!,
      formatImage(DATA, second!.image)!,
    ]) {
      assert.doesNotMatch(page, /<script(?! src="\/script.js")|<style|\sstyle=|\son\w+=|javascript:|https?:/);
      assert.doesNotMatch(page, /\b(?:src|href)="(?!#|\/|data:,")/);
      assert.equal(page.match(/<svg role="img"/g)?.length, page.match(/<title id=.*?<desc id=/g)?.length);
      assert.ok(!page.includes('<script>alert'));
    }
    assert.equal(formatImage(DATA, 'none'), undefined);
    const without = formatOverview({ ...DATA, runs: [], patches: [], sites: undefined, queues: undefined });
    assert.match(without, /No runs\./);
    assert.doesNotMatch(without, /Workers and queues|Sites/);
    const broken = formatOverview({ ...DATA, sites: 'no <file>', queues: 'Redis does not answer' });
    assert.match(broken, /no &lt;file&gt;/);
    assert.match(broken, /Redis does not answer/);
  });

  test('group patches by image, with releases in order of their versions and the smallest patch of each pair', () => {
    const [{ image, releases, patches }] = groupByImage(ROWS) as [ReturnType<typeof groupByImage>[0]];
    assert.equal(image, 'host/app');
    assert.deepEqual(releases, ['docker://host/base:1', APP('1.2'), APP('1.9'), APP('1.10')]);
    assert.deepEqual(
      patches.map(({ actual }) => actual),
      [3000, 2000, 2500, 9000],
    );
    const plot = plotReleases('g', { image, releases, patches });
    assert.equal(plot.match(/class="arc"/g)?.length, 4);
    assert.equal(plot.match(/<circle/g)?.length, 4);
    assert.match(plot, /4 releases, 4 patches\./);
    const many = Array.from({ length: 40 }, (_, i) => rowOf(APP(`1.${i + 1}`), APP(`1.${i}`)));
    const large = plotReleases('g', groupByImage(many)[0]!);
    assert.equal(large.match(/<circle/g)?.length, 16);
    assert.match(large, /25 older releases are in the table/);
  });

  test('sum up what sites save by the patches from their images', () => {
    const rows = [...ROWS, rowOf(APP('2.1'), `${APP('1.9')} + docker://host/base:1`, 100)];
    const sets = [
      { sites: ['b', 'a'], images: [APP('1.9')] },
      { sites: ['c'], images: [APP('1.9'), 'docker://host/base:1'] },
      { images: [APP('1.2')] },
      { sites: ['d'], images: [] },
    ];
    assert.deepEqual(
      savingsOf(sets, rows).map(({ site, targets, patches }) => [site, targets, patches]),
      [
        ['a', 1, 3000],
        ['b', 1, 3000],
        ['c', 2, 3100],
        ['d', 0, 0],
      ],
    );
  });

  test('sort, filter and refresh themselves in a browser', { skip: missing('chromium') }, async (t) => {
    const directory = await temporaryDirectory(t);
    let reads = 0;
    const read = async () => ({
      ...DATA,
      store: `read ${++reads}`,
      runs: reads > 1 ? DATA.runs.slice(1) : DATA.runs,
    });
    const store = await openDirectoryStore(join(directory, 'store'));
    const pages = createDashboard({ store, read });
    // a visitor that sorts and filters before the page refreshes itself
    const visitor = `
      document.querySelector('#images th:nth-child(3) button').click();
      const field = document.getElementById('runs-f');
      field.value = 'one'; field.dispatchEvent(new Event('input'));
      new MutationObserver(() => {
        const rows = [...document.querySelectorAll('#runs tbody tr')];
        document.title = rows.length + ' ' + rows.filter((row) => !row.hidden).length + ' ' + field.isConnected + ' ' + document.getElementById('runs-f').value;
      }).observe(document.getElementById('runs-part'), { childList: true });`;
    await using listener = await serve({ host: '127.0.0.1', port: 0 }, (incoming, response) => {
      if (incoming.url !== '/script.js') return pages(incoming, response);
      // as an extension of the browser would
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(SCRIPT + LIVE + visitor);
    });
    const { stdout, stderr } = await run('chromium', [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--enable-logging=stderr',
      `--user-data-dir=${join(directory, 'profile')}`,
      '--virtual-time-budget=12000',
      '--dump-dom',
      `http://127.0.0.1:${listener.port}/`,
    ]);
    assert.match(stdout, /<title>1 1 false one<\/title>/);
    assert.match(stdout, /aria-sort="ascending"/);
    assert.match(stdout, /id="live" role="status" class="">as of /);
    assert.doesNotMatch(stderr, /Content Security Policy|Uncaught/);
  });
});

function ask(port: number, path: string, method = 'GET', host = `127.0.0.1:${port}`) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, method, headers: { host } }, (response) => {
        const { statusCode, headers } = response;
        text(response).then((body) => resolve({ status: statusCode!, headers, body }), reject);
      });
      sent.on('error', reject).end();
    },
  );
}

describe('the server', () => {
  test(
    'shows a store with its runs, images, sites and queues',
    { skip: missing('redis-server') },
    async (t) => {
      const directory = await temporaryDirectory(t);
      const redis = await startRedis(t);
      const images: string[] = [];
      for (const release of [1, 2]) {
        images.push(join(directory, `app-1.${release}`));
        await writeLayout(images.at(-1)!, largeLayers(release));
      }
      const location = join(directory, 'store');
      const places = ['--store', location];
      const { id } = await panamaxJson<{ id: string }>(
        'backfill',
        ...images,
        '--effort',
        'fast',
        '--rollback',
        ...places,
      );
      const sites = join(directory, 'sites.yaml');
      await writeFile(sites, `sites:\n  shop: [${images[0]}]\n`);
      const options = ['--redis', redis.url, '--inventory', sites, '--listen', '0', '--board', '0'];
      const child = startPanamax(['dashboard', ...places, ...options]);
      t.after(() => child.kill('SIGKILL'));
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
      const port = Number(new URL(line).port);

      const { status, headers, body } = await ask(port, '/');
      assert.equal(status, 200);
      assert.match(
        String(headers['content-security-policy']),
        /^default-src 'none'; style-src 'self'; script-src 'self'/,
      );
      assert.match(body, new RegExp(`<a href="/run\\?id=${id}">`));
      assert.match(
        body,
        /<td>shop<\/td><td class="number" data-v="1">1<\/td><td class="number" data-v="1">1<\/td>/,
      );
      assert.match(body, /<td>delta<\/td><td class="number" data-v="0">0<\/td>/);
      assert.match(body, /2 releases, 2 patches/);
      const [, board] = /<a href="(http:\/\/127\.0\.0\.1:\d+\/)">Jobs in Bull Board/.exec(body)!;
      assert.match(await (await fetch(board!)).text(), /panamax/);
      const [, image] = /<a href="(\/image\?name=[^"]*)"/.exec(body)!;
      assert.match((await ask(port, image!)).body, /Patches and their sources/);
      const page = await ask(port, `/run?id=${id}`);
      assert.match(page.body, new RegExp(`<h1>panamax run ${id}</h1>`));
      assert.match(String(page.headers['content-security-policy']), /script-src 'sha256-/);

      assert.equal((await ask(port, '/healthz')).status, 200);
      assert.equal((await ask(port, '/', 'GET', 'evil.example')).status, 421);
      assert.equal((await ask(port, '/', 'POST')).status, 405);
      assert.equal((await ask(port, '/', 'HEAD')).body, '');
      for (const path of ['/none', '/image?name=x', '/run?id=none', '/../etc/passwd']) {
        assert.equal((await ask(port, path)).status, 404, path);
      }
      for (const path of ['/run', '/run?id=../x']) assert.equal((await ask(port, path)).status, 400, path);

      // a lost Redis and a broken inventory are told of; the rest stays
      await redis.stop();
      await writeFile(sites, 'sites: 7\n');
      let later = await ask(port, '/');
      for (
        const deadline = Date.now() + 30_000;
        !/does not answer|Redis:/.test(later.body) && Date.now() < deadline;
      ) {
        later = await ask(port, '/');
      }
      assert.match(later.body, /Redis does not answer|Redis:/);
      assert.match(later.body, new RegExp(`<a href="/run\\?id=${id}">`));
      assert.match(later.body, /class="warning">[^<]*sites/);
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'exit'), [0, null]);
    },
  );

  test('needs a store that exists', async (t) => {
    const directory = await temporaryDirectory(t);
    await panamaxFails('not-found', /no such store/, 'dashboard', '--store', join(directory, 'none'));
  });
});
