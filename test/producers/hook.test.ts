/** The listener for notifications: shared secrets, and requests that are none of a registry's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { serve } from '../../lib/web/server.ts';
import { createHook, HOOK_PATH } from '../../producers/watch/hook.ts';
import type { Notice } from '../../producers/watch/notification.ts';
import { signatureOf } from '../../lib/runtime/http/secret.ts';
import { createSecrets, readSecrets, type Secrets } from '../../lib/runtime/http/secret.ts';
import { panamaxFails } from '../support/commands.ts';
import { temporaryDirectory } from '../support/directory.ts';

const SECRET = 'a secret of 24 letters..';
const DIGEST = `sha256:${'ab'.repeat(32)}`;
const PUSH = JSON.stringify({
  events: [{ action: 'push', target: { repository: 'a', tag: '1', digest: DIGEST } }],
});
const JSON_TYPE = { 'content-type': 'application/vnd.docker.distribution.events.v2+json' };

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

async function startHook(
  t: TestContext,
  secrets?: Secrets,
  take = (notices: readonly Notice[]) => notices.length,
) {
  const listener = await serve({ host: '127.0.0.1', port: 0 }, createHook({ secrets, take }));
  t.after(() => listener[Symbol.asyncDispose]());
  return async (
    headers: Readonly<Record<string, string>>,
    body: string | Buffer = PUSH,
    { method = 'POST', path = HOOK_PATH } = {},
  ): Promise<Answer> => {
    const sent = request({ host: '127.0.0.1', port: listener.port, method, path, headers });
    // an answer may come before the body was sent
    sent.on('error', () => {});
    sent.end(body);
    const [response] = await once(sent, 'response');
    return { status: response.statusCode, text: await text(response), headers: response.headers };
  };
}

function basic(password: string): string {
  return `Basic ${Buffer.from(`zot:${password}`).toString('base64')}`;
}

async function refused(status: number, answer: Promise<Answer>): Promise<string> {
  const { status: found, text: sentence } = await answer;
  assert.equal(found, status, sentence);
  assert.match(sentence, /^[^\n]{5,300}\n$/);
  return sentence;
}

test('a notification needs the shared secret as registries send it', async (t) => {
  const send = await startHook(t, createSecrets(['another one to replace it', SECRET]));
  const withHeader = (authorization: string) => send({ ...JSON_TYPE, authorization });
  for (const header of [`Bearer ${SECRET}`, `bearer ${SECRET}`, SECRET, basic(SECRET)]) {
    const { status, text: answer } = await withHeader(header);
    assert.deepEqual([status, answer], [202, '1 of 1 pushes taken\n'], header);
  }
  for (const header of ['Bearer', 'Bearer ', `Bearer ${SECRET}x`, SECRET.slice(1), basic(''), 'Basic', '']) {
    const { status, text: answer, headers } = await withHeader(header);
    assert.equal(status, 401, header);
    assert.match(answer, /^the shared secret is missing or wrong\n$/);
    assert.equal(headers['www-authenticate'], 'Bearer');
  }
  assert.equal((await send(JSON_TYPE)).status, 401);

  const signed = (signature: string, body = PUSH) =>
    send({ ...JSON_TYPE, 'x-hub-signature-256': signature }, body);
  assert.equal((await signed(signatureOf(SECRET, Buffer.from(PUSH)))).status, 202);
  for (const signature of ['', 'sha256=', signatureOf('another', Buffer.from(PUSH)), 'sha256=zz']) {
    assert.equal((await signed(signature)).status, 401, signature);
  }
  assert.equal((await signed(signatureOf(SECRET, Buffer.from(PUSH)), `${PUSH} `)).status, 401);
  // a wrong signature is refused before the body is looked at, and a wrong header although the signature is right
  assert.match((await signed('sha256=x', '{')).text, /^the signature is wrong\n$/);
  const both = { authorization: 'x', 'x-hub-signature-256': signatureOf(SECRET, Buffer.from(PUSH)) };
  assert.equal((await send({ ...JSON_TYPE, ...both })).status, 401);
});

test('requests that are no notification are refused with one sentence', async (t) => {
  const send = await startHook(t);
  await refused(404, send(JSON_TYPE, PUSH, { path: '/other' }));
  await refused(405, send(JSON_TYPE, '', { method: 'GET' }));
  await refused(405, send(JSON_TYPE, '', { method: 'OPTIONS' }));
  // types that a page of another site may send
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', '']) {
    await refused(415, send({ 'content-type': type }));
  }
  await refused(415, send({ ...JSON_TYPE, 'content-encoding': 'gzip' }));
  await refused(400, send(JSON_TYPE, ''));
  await refused(400, send(JSON_TYPE, '{"events":'));
  await refused(400, send(JSON_TYPE, '[1]'));
  await refused(400, send(JSON_TYPE, '['.repeat(100_000)));
  assert.match(
    await refused(400, send(JSON_TYPE, '{"a":"\\u001b[31m"}')),
    /not a notification of a registry/,
  );
  const body = PUSH.replace(DIGEST, '\\u001b[31mred');
  assert.ok(!(await refused(400, send(JSON_TYPE, body))).includes('\u001B'));
  await refused(413, send(JSON_TYPE, Buffer.alloc(6 * 1024 * 1024, ' ')));
  await refused(413, send({ ...JSON_TYPE, 'content-length': '99999999999' }, ''));
  await refused(
    413,
    send({ ...JSON_TYPE, 'transfer-encoding': 'chunked' }, Buffer.alloc(6 * 1024 * 1024, ' ')),
  );
  assert.equal((await send(JSON_TYPE)).status, 202);
});

test('a sender of CloudEvents may ask first whether it may send', async (t) => {
  const send = await startHook(t, createSecrets([SECRET]));
  const ask = (origin: string, path = HOOK_PATH) =>
    send({ 'webhook-request-origin': origin }, '', { method: 'OPTIONS', path });
  const { status, headers } = await ask('eventgrid.example:443');
  assert.deepEqual([status, headers['webhook-allowed-origin']], [200, 'eventgrid.example:443']);
  // a page of another site learns nothing from it
  assert.equal(headers['access-control-allow-origin'], undefined);
  await refused(405, ask('a b'));
  await refused(404, ask('eventgrid.example', '/other'));
});

test('a notification without a watched push is accepted, and one without room comes later', async (t) => {
  const none = await startHook(t, undefined, () => 0);
  assert.equal((await none(JSON_TYPE)).status, 200);
  assert.equal((await none(JSON_TYPE, '{"events":[]}')).status, 200);
  const full = await startHook(t, undefined, () => undefined as unknown as number);
  const { status, headers } = await full(JSON_TYPE);
  assert.deepEqual([status, headers['retry-after']], [503, '10']);
});

test('senders that stop within a body do not keep others away', async (t) => {
  const listener = await serve(
    { host: '127.0.0.1', port: 0 },
    createHook({ secrets: undefined, take: () => 1 }),
  );
  t.after(() => listener[Symbol.asyncDispose]());
  const sockets = Array.from({ length: 16 }, () => connect(listener.port, '127.0.0.1'));
  const head = `POST ${HOOK_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`;
  for (const socket of sockets) socket.on('error', () => {}).write(head);
  const status = async () => {
    const socket = connect(listener.port, '127.0.0.1');
    socket.write(
      head
        .replace('100', String(PUSH.length))
        .replace(/\{$/, PUSH)
        .replace('Host', 'Connection: close\r\nHost'),
    );
    return Number(/^HTTP\/1\.1 (\d+)/.exec(await text(socket))?.[1]);
  };
  let found = await status();
  for (const deadline = Date.now() + 10_000; found !== 503 && Date.now() < deadline; found = await status());
  assert.equal(found, 503, 'all readers are taken');
  for (const socket of sockets) socket.destroy();
  for (const deadline = Date.now() + 10_000; found !== 202 && Date.now() < deadline; found = await status());
  assert.equal(found, 202);
});

test('secrets are lines of a file; a listener that others reach needs some', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'secrets');
  await writeFile(path, `${SECRET}\n\n${SECRET}2\r\n`);
  const secrets = await readSecrets(path);
  for (const secret of [SECRET, `${SECRET}2`]) assert.ok(secrets.allowHead({ authorization: secret }));
  assert.equal(secrets.allowHead({ authorization: '' }), false);
  const watch = (...args: readonly string[]) =>
    [
      'watch',
      'docker://h.example/a',
      '--redis',
      'redis://127.0.0.1:1',
      '--store',
      directory,
      ...args,
    ] as const;
  for (const address of ['0.0.0.0:0', '[::]:0', '192.0.2.1:80', 'example.com:80', '127.evil.example:80']) {
    await panamaxFails('usage', /everybody who reaches this address/, ...watch('--listen', address));
  }
  await panamaxFails('usage', /exclude each other/, ...watch('--listen', '0', '--once'));
  await writeFile(path, 'short\n');
  await panamaxFails('usage', /no secret/, ...watch('--listen', '0', '--secret-file', path));
  await panamaxFails(
    'not-found',
    /none/,
    ...watch('--listen', '0', '--secret-file', join(directory, 'none')),
  );
  await panamaxFails('usage', /TLS without/, ...watch('--listen', '0', '--tls-cert', path));
});
