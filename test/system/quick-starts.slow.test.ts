/** The quick starts of README run as they stand there, with the addresses of real servers in place of the examples. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { MAIN, panamaxJson, startPanamax } from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { startRegistry } from '../support/registry.ts';
import { largeLayers } from '../support/releases.ts';
import { skopeoConfig, skopeoPush } from '../support/skopeo.ts';
import { startWeb } from '../support/web.ts';

const README = join(import.meta.dirname, '../../README.md');

/** The lines of README's section that begin with `panamax`, also as items of a list. */
async function linesOf(section: string): Promise<string[]> {
  const text = await readFile(README, 'utf8');
  const [, body] = text.split(`## Quick start: ${section}\n`);
  return [...body!.split('\n## ')[0]!.matchAll(/^ +(?:- )?(panamax .*)$/gm)].map(([, line]) => line!);
}

test(
  'the quick starts of CI and of a site bring a release to the site by a patch',
  { skip: missing('docker-registry', 'redis-server', 'skopeo') },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const path = (name: string) => join(directory, name);
    const [registry, redis] = [await startRegistry(t), await startRedis(t)];
    const name = `${registry.host}/team/app`;
    const images = [];
    for (const [i, tag] of ['1.0', '1.1'].entries()) {
      images.push(await writeLayout(path(tag), largeLayers(i + 1)));
      await skopeoPush(`oci:${path(tag)}:latest`, `${name}:${tag}`);
    }
    await panamaxJson('keygen', path('owner'));
    const web = await startWeb(t, path('store'));
    const command = path('panamax');
    await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 });
    const env = {
      ...process.env,
      PATH: `${directory}:${process.env['PATH']}`,
      REGISTRY_INSECURE: registry.host,
      PANAMAX_REDIS: redis.url,
      PANAMAX_STORE: path('store'),
      PANAMAX_SCRATCH: path('scratch'),
      IMAGE: name,
      CI_COMMIT_TAG: '1.1',
    };
    const run = (line: string, more: NodeJS.ProcessEnv = {}) =>
      promisify(execFile)('bash', ['-ec', line], { cwd: directory, env: { ...env, ...more } });

    const worker = startPanamax(['worker', 'all', '--sign', path('owner.key')], env);
    t.after(() => worker.kill('SIGKILL'));
    const [enqueue] = await linesOf('CI');
    await run(enqueue!);

    const [pull] = await linesOf('site');
    const line = pull!
      .replace('registry.example/team/app:1.1', `${name}:1.1`)
      .replace('https://patches.example', web.url);
    assert.notEqual(line, pull);
    const site = `--engine none --source ${path('1.0')} --output oci:${path('site')}:new --state ${path('state')}`;
    const { stdout } = await run(`${line} ${site}`, { PANAMAX_STORE: '' });
    assert.match(stdout, /moved [\d.]+ kB, [\d.]+ % of the/);
    assert.equal(await skopeoConfig(`oci:${path('site')}:new`), images[1]!.configDigest);
  },
);
