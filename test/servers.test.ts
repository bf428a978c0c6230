/** The servers that other tests rely on, and the faults of the proxy in front of them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from './support/directory.ts';
import { missing } from './support/programs.ts';
import { startProxy } from './support/proxy.ts';
import { startRedis } from './support/redis.ts';
import { startRegistry } from './support/registry.ts';
import { writeRelease } from './support/releases.ts';
import { noS3, startS3 } from './support/s3.ts';

const run = promisify(execFile);

test('redis keeps what it said it has through a kill', { skip: missing('redis-server') }, async (t) => {
  const redis = await startRedis(t);
  assert.equal(await redis.command('SET', 'a', 'kept'), '+OK');
  const { pid } = redis;
  await redis.stop('SIGKILL');
  await assert.rejects(redis.command('PING'));
  await redis.start();
  assert.notEqual(redis.pid, pid);
  assert.equal(await redis.command('STRLEN', 'a'), ':4');
  await redis.wipe();
  assert.equal(await redis.command('DBSIZE'), ':0');
});

test('an S3 server with buckets of its own', { skip: noS3() }, async (t) => {
  const s3 = await startS3(t);
  const bucket = await s3.makeBucket();
  await s3.client.putObject(bucket, 'a/b', 'text');
  assert.equal(String(await buffer(await s3.client.getObject(bucket, 'a/b'))), 'text');
});

test(
  'a registry asks for its password',
  { skip: missing('docker-registry', 'htpasswd', 'skopeo') },
  async (t) => {
    const registry = await startRegistry(t, { user: 'site', password: 'open sesame' });
    const directory = await temporaryDirectory(t);
    const { manifestDigest } = await writeRelease(join(directory, 'image'), 1, 1);
    const images = [`oci:${join(directory, 'image')}`, `docker://${registry.host}/team/app:1`];
    const policy = ['--preserve-digests', '--dest-tls-verify=false'];
    const copy = (...options: string[]) =>
      run('skopeo', ['--insecure-policy', 'copy', '-q', ...policy, ...options, ...images]);
    await assert.rejects(copy('--dest-no-creds'), /unauthorized|authentication/i);
    await copy('--dest-creds', 'site:open sesame');
    const headers = { authorization: `Basic ${Buffer.from('site:open sesame').toString('base64')}` };
    const manifest = await fetch(`http://${registry.host}/v2/team/app/manifests/1`, {
      headers: { ...headers, accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    assert.equal(manifest.headers.get('docker-content-digest'), manifestDigest);
  },
);

test('a proxy refuses, stalls, slows and cuts connections', { skip: noS3() }, async (t) => {
  const s3 = await startS3(t);
  const proxy = await startProxy(t, { port: Number(s3.access.endpoint.port) });
  const bucket = await s3.makeBucket();
  const size = 300_000;
  await s3.client.putObject(bucket, 'large', Buffer.alloc(size, 1));
  const url = new URL(await s3.client.presignedGetObject(bucket, 'large'));

  /** Bytes that come in until the end or an error. */
  async function read(): Promise<{ length: number; error?: string }> {
    const sent = request({
      host: '127.0.0.1',
      port: proxy.port,
      path: `${url.pathname}${url.search}`,
      headers: { host: url.host },
    });
    sent.on('error', () => {});
    sent.end();
    let length = 0;
    try {
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      for await (const piece of answer) length += (piece as Buffer).length;
      return { length };
    } catch (error) {
      return { length, error: (error as NodeJS.ErrnoException).code ?? String(error) };
    }
  }

  assert.deepEqual(await read(), { length: size });

  proxy.setFault({ kind: 'cut', direction: 'down', after: 100_000, times: 1 });
  const cut = await read();
  assert.ok(cut.error && cut.length < 100_000, JSON.stringify(cut));
  assert.deepEqual(await read(), { length: size });

  proxy.setFault({ kind: 'cut', direction: 'up', after: 10 });
  assert.deepEqual(await read(), { length: 0, error: 'ECONNRESET' });

  proxy.setFault({ kind: 'refuse' });
  assert.deepEqual(await read(), { length: 0, error: 'ECONNRESET' });
  assert.equal(proxy.resets, 3);

  proxy.setFault({ kind: 'slow', rate: 1_000_000 });
  assert.deepEqual(await read(), { length: size });

  // what stalls goes on where it was
  proxy.setFault({ kind: 'hang' });
  const stalled = read();
  proxy.setFault();
  assert.deepEqual(await stalled, { length: size });
  assert.equal(proxy.connections, 7);
});
