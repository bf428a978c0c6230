/** The notifications of a real registry lead to runs, each once. */
import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { loadRequest } from '../../lib/run/record.ts';
import { listRuns } from '../../lib/run/runs.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { HOOK_PATH } from '../../producers/watch/hook.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { startPanamax } from '../support/panamax.ts';
import { freePort } from '../support/port.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { startRegistry } from '../support/registry.ts';
import { releaseLayers } from '../support/releases.ts';
import { skopeoPush } from '../support/skopeo.ts';

const SECRET = 'shared with the registry';

function runOf(tag: string, digest: string, name = 'app'): string {
  return `${name}-${tag}-${digest.slice(7, 19)}`;
}

test(
  'watch --listen queues the pushes that a registry tells of, each once',
  { skip: missing('docker-registry', 'redis-server', 'skopeo'), timeout: 120_000 },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const secretFile = join(directory, 'secret');
    await writeFile(secretFile, SECRET);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}${HOOK_PATH}`;
    const authorization = `Bearer ${SECRET}`;
    const endpoint = { url, headers: { Authorization: [authorization] } };
    const [registry, redis] = [await startRegistry(t, undefined, undefined, endpoint), await startRedis(t)];
    const push = async (repository: string, release: number, tag: string) => {
      const path = join(directory, String(release));
      const { manifestDigest } = await writeLayout(path, releaseLayers(1, release));
      await skopeoPush(`oci:${path}:latest`, `${registry.host}/${repository}:${tag}`);
      return manifestDigest;
    };
    const location = join(directory, 'store');
    const start = () => {
      const places = ['--store', location, '--redis', redis.url, '--secret-file', secretFile];
      const args = ['watch', `docker://${registry.host}`, '--listen', String(port), '--tags', '*.*'];
      const options = { ...process.env, REGISTRY_INSECURE: registry.host };
      const child = startPanamax([...args, ...places], options);
      t.after(() => child.kill('SIGKILL'));
      child.stderr.pipe(process.stderr);
      const lines = on(createInterface(child.stdout), 'line');
      const next = async () => ((await lines.next()).value as [string])[0];
      return { child, next };
    };
    const queued = (repository: string, tag: string, digest: string) =>
      `docker://${registry.host}/${repository}:${tag}@${digest}: queued as run ${runOf(tag, digest, repository.split('/').at(-1))}`;

    const one = await push('team/app', 1, '1.0');
    const first = start();
    assert.equal(await first.next(), `listening on ${url}`);
    assert.match(await first.next(), /team\/app: 1 tags are known/);
    const two = await push('team/app', 2, '1.1');
    assert.equal(await first.next(), queued('team/app', '1.1', two));
    const store = await openDirectoryStore(location);
    const request = await loadRequest(store, runOf('1.1', two));
    assert.deepEqual(
      [request.targets, request.forward],
      [[`docker://${registry.host}/team/app:1.1@${two}`], true],
    );
    assert.ok(request.residents[0]!.images.includes(`docker://${registry.host}/team/app:1.0`));

    // the same event again, one about a digest that the registry lacks, and one of another tag: only the last is new
    const send = async (tag: string, digest: string, key = authorization) => {
      const event = { action: 'push', target: { repository: 'team/app', tag, digest } };
      const headers = { 'content-type': 'application/json', authorization: key };
      const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ events: [event] }) });
      return [answer.status, await answer.text()] as const;
    };
    assert.deepEqual(await send('1.1', two), [202, '1 of 1 pushes taken\n']);
    assert.deepEqual(await send('1.9', `sha256:${'0'.repeat(64)}`), [202, '1 of 1 pushes taken\n']);
    assert.deepEqual(await send('latest', two), [200, '0 of 1 pushes taken\n']);
    assert.equal((await send('1.1', two, 'Bearer x'))[0], 401);
    // a repository that did not exist at the first look
    const three = await push('team/new', 3, '2.0');
    assert.equal(await first.next(), queued('team/new', '2.0', three));

    // the same image by the same tag elsewhere has a run of its own
    await push('other/new', 3, '2.0');
    const other = await first.next();
    assert.match(
      other,
      new RegExp(`^docker://${registry.host}/other/new:2\\.0@.*${runOf('2\\.0', three, 'new')}-[0-9a-f]{8}$`),
    );
    // a chart is no image
    const api = `http://${registry.host}/v2/team/app/manifests`;
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const answer = await fetch(`${api}/1.1`, { headers: { accept: type } });
    const manifest = (await answer.json()) as { config: { mediaType: string } };
    manifest.config.mediaType = 'application/vnd.cncf.helm.config.v1+json';
    const headers = { 'content-type': type };
    await fetch(`${api}/9.0`, { method: 'PUT', headers, body: JSON.stringify(manifest) });
    assert.match(await first.next(), /app:9\.0@sha256:[0-9a-f]{64}: no image, passed over$/);

    // a push while nothing listens is found by the look at the start; the registry sends its event again
    first.child.kill('SIGTERM');
    assert.deepEqual(await once(first.child, 'exit'), [0, null]);
    const four = await push('team/app', 4, '1.2');
    const second = start();
    assert.equal(await second.next(), `listening on ${url}`);
    assert.equal(await second.next(), queued('team/app', '1.2', four));
    const five = await push('team/app', 5, '1.3');
    assert.equal(await second.next(), queued('team/app', '1.3', five));
    const runs = await Array.fromAsync(listRuns(store));
    const expected = [two, four, five].map((digest, i) => runOf(`1.${i + 1}`, digest));
    assert.deepEqual(
      runs.toSorted(),
      [...expected, runOf('2.0', three, 'new'), other.split(' ').at(-1)!].toSorted(),
    );
    assert.ok(!runs.includes(runOf('1.0', one)));
    const health = await fetch(`http://127.0.0.1:${port}/healthz`);
    assert.equal(await health.text(), 'alive\n');
  },
);
