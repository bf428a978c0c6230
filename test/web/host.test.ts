/** Servers of a worker answer only requests whose Host header names them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { serveBoard } from '../../lib/web/board.ts';
import { serveLiveness } from '../../lib/web/server.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';

const PAGES = { '/healthz': { type: 'text/plain', text: async () => 'alive\n' } };

/** The status of a request with this Host header; undefined for none. */
async function statusFor(port: number, host: string | undefined, path = '/healthz'): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const header = host === undefined ? '' : `Host: ${host}\r\n`;
  socket.write(`GET ${path} HTTP/1.${host === undefined ? 0 : 1}\r\n${header}Connection: close\r\n\r\n`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(await text(socket))?.[1]);
}

const LOOPBACK = [
  '127.0.0.1',
  '127.0.0.1:80',
  'localhost',
  'LOCALHOST:8080',
  'localhost.',
  '[::1]:9464',
  '127.0.0.2',
];
const FOREIGN = [
  'evil.example',
  'evil.example:80',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '127.evil.example',
  'localhost@evil.example',
  'evil.example/localhost',
  '[evil.example]',
  '[::1',
  'localhost:x',
  'localhost:65536',
  '',
  undefined,
];

test('a server on a loopback address refuses requests for other hosts', async () => {
  await using server = await serveLiveness({ listen: { host: '127.0.0.1', port: 0 }, pages: PAGES });
  for (const host of LOOPBACK) assert.equal(await statusFor(server.port, host), 200, host);
  for (const host of [...FOREIGN, '192.0.2.1', 'worker.example']) {
    assert.equal(await statusFor(server.port, host), 421, host);
  }
});

test('a server on all addresses accepts addresses and the names it was given', async () => {
  for (const host of ['0.0.0.0', '::']) {
    const listen = { host, port: 0, names: ['Worker.example'] };
    await using server = await serveLiveness({ listen, pages: PAGES });
    for (const own of [...LOOPBACK, '192.0.2.1:9464', '[2001:db8::1]', 'worker.example:9464']) {
      assert.equal(await statusFor(server.port, own), 200, own);
    }
    for (const other of FOREIGN) assert.equal(await statusFor(server.port, other), 421, other);
  }
});

test('the board refuses requests for other hosts', { skip: missing('redis-server') }, async (t) => {
  const redis = await startRedis(t);
  const connection = await connectProducer(redis.url, { name: 'store' });
  await using board = await serveBoard(connection, {
    listen: { host: '127.0.0.1', port: 0 },
    titleOf: async () => undefined,
  });
  for (const path of ['/', '/api/queues', '/static/favicon.ico']) {
    assert.equal(await statusFor(board.port, 'evil.example', path), 421, path);
  }
  assert.equal(await statusFor(board.port, `localhost:${board.port}`, '/'), 200);
});
