/** Answers that S3 servers other than versitygw give, by a front before the real server. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { inspect, promisify } from 'node:util';
import type { PanamaxError } from '../../../lib/errors.ts';
import { readS3Access } from '../../../lib/store/objects/credentials.ts';
import type { Patience } from '../../../lib/store/objects/s3bucket.ts';
import { openS3Store } from '../../../lib/store/objects/s3.ts';
import type { Store } from '../../../lib/store/objects/store.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startFront, type Answer, type Front, type Rewrite } from '../../support/front.ts';
import { createRandom } from '../../support/random.ts';
import { noS3, startS3, throughPort, type S3Server } from '../../support/s3.ts';
import { fileScope } from '../../support/scope.ts';

const LARGE = createRandom(5).bytes(17 * 1024 ** 2);
const PATIENCE: Patience = { attempts: 3, delay: 10, connect: 60_000, idle: 60_000 };
const HOUR = 3_600_000;

const scope = fileScope();
let running: Promise<S3Server> | undefined;
const s3 = () => (running ??= startS3(scope));

interface Fronted {
  readonly front: Front;
  readonly server: S3Server;
  readonly bucket: string;
  readonly open: () => Promise<Store>;
}

async function fronted(t: TestContext, answer: Answer, rewrite?: Rewrite): Promise<Fronted> {
  const server = await s3();
  const front = await startFront(t, { port: Number(server.access.endpoint.port) }, answer, rewrite);
  const bucket = await server.makeBucket();
  const { access } = throughPort(server, Number(front.host.split(':')[1]));
  const options = { patience: PATIENCE, firstContact: PATIENCE };
  return { front, server, bucket, open: () => openS3Store(access, bucket, '', options) };
}

function withoutLength(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'content-length'));
}

const uploadItem = (key: string, id: string, age: number) =>
  `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${new Date(Date.now() - age).toISOString()}</Initiated></Upload>`;

function isSkew(error: PanamaxError): boolean {
  assert.match(error.message, /^the store refuses: this machine's clock differs from the store's/);
  return error.kind === 'io' && error.facts.isFinal === true;
}

const queryOf = ({ url = '' }: IncomingMessage) => new URL(url, 'http://x').searchParams;

function reply(
  response: ServerResponse,
  status: number,
  body = '',
  headers: Record<string, string> = {},
): true {
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  response.end(body);
  return true;
}

const failure = (code: string) =>
  `<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>no</Message></Error>`;

describe('S3 store with other servers', { skip: noS3() }, () => {
  test('reads objects without Content-Length', async (t) => {
    const asked: string[] = [];
    const { open } = await fronted(
      t,
      ({ method }) => void asked.push(method!) as unknown as false,
      ({ method }, headers) => (method === 'GET' ? withoutLength(headers) : headers),
    );
    const store = await open();
    for (const bytes of [Buffer.alloc(0), Buffer.from('some bytes'), LARGE.subarray(0, 3_000_000)]) {
      await store.put('a/b', bytes);
      assert.ok((await store.get('a/b'))!.equals(bytes));
      assert.ok((await buffer(await store.open('a/b'))).equals(bytes));
    }
    // the size stands in Content-Range
    asked.length = 0;
    assert.ok(
      (await buffer(await store.open('a/b', 1_000_000))).equals(LARGE.subarray(1_000_000, 3_000_000)),
    );
    assert.deepEqual(asked, ['GET']);
  });

  test('refuses an object whose size cannot be known', async (t) => {
    const { open, server, bucket } = await fronted(
      t,
      () => false,
      (_, headers) => withoutLength(headers),
    );
    const store = await open();
    await server.client.putObject(bucket, 'a/b', 'bytes');
    await assert.rejects(store.get('a/b'), { kind: 'io', message: /^object of unknown size/ });
  });

  test('takes IDs as text, an error with status 200 as one, and no ETag, and waits for a late object', async (t) => {
    const id = '00000000000000000012';
    const keys = ['a/1', 'a/10', 'a/2', 'a/3', 'a/4'];
    const parts: Buffer[] = [];
    let [failures, late] = [1, 2];
    const seen = { uploads: [] as string[], tokens: [] as string[] };
    const { open, server, bucket } = await fronted(t, (request, response) => {
      const query = queryOf(request);
      const upload = query.get('uploadId');
      if (query.get('list-type') === '2') {
        const token = query.get('continuation-token');
        if (token !== null) seen.tokens.push(token);
        const start = token === null ? 0 : Number(token) * 2;
        const contents = keys.slice(start, start + 2).map((key) => `<Contents><Key>${key}</Key></Contents>`);
        const more = start + 2 < keys.length;
        const next = `<NextContinuationToken>${String(start / 2 + 1).padStart(20, '0')}</NextContinuationToken>`;
        const body = `<IsTruncated>${more}</IsTruncated>${more ? next : ''}${contents.join('')}`;
        return reply(response, 200, `<ListBucketResult xmlns="http://x/">${body}</ListBucketResult>`);
      }
      if (request.method === 'POST' && query.has('uploads')) {
        const body = `<Bucket>b</Bucket><UploadId>\n ${id} </UploadId>`;
        return reply(response, 200, `<InitiateMultipartUploadResult>${body}</InitiateMultipartUploadResult>`);
      }
      if (request.method === 'HEAD' && parts.length > 0 && late > 0) {
        late--;
        return reply(response, 404);
      }
      if (upload === null) return false;
      seen.uploads.push(upload);
      void buffer(request).then(async (body) => {
        if (request.method === 'PUT') {
          parts.push(body);
          const etag = `"${createHash('md5').update(body).digest('hex')}"`;
          return reply(response, 200, '', { etag });
        }
        if (failures > 0) {
          failures--;
          return reply(response, 200, failure('InternalError'));
        }
        await server.client.putObject(bucket, 'a/large', Buffer.concat(parts));
        const result = '<Location>l</Location><Bucket>b</Bucket><Key>k</Key>';
        return reply(
          response,
          200,
          `<CompleteMultipartUploadResult>${result}</CompleteMultipartUploadResult>`,
        );
      });
      return true;
    });
    const store = await open();
    const path = join(await temporaryDirectory(t), 'large');
    await writeFile(path, LARGE);
    await store.putFile('a/large', path);
    assert.ok((await buffer(await store.open('a/large'))).equals(LARGE));
    assert.deepEqual(seen.uploads, [id, id, id, id]);
    assert.deepEqual([failures, late], [0, 0]);
    assert.deepEqual(await Array.fromAsync(store.list('a/')), keys);
    assert.deepEqual(seen.tokens, ['00000000000000000001', '00000000000000000002']);
  });

  test('refuses a list that breaks off', async (t) => {
    for (const more of ['', '<NextContinuationToken>1</NextContinuationToken>']) {
      const body = `<ListBucketResult><IsTruncated>true</IsTruncated>${more}</ListBucketResult>`;
      const { open } = await fronted(t, (request, response) =>
        queryOf(request).has('list-type') ? reply(response, 200, body) : false,
      );
      const store = await open();
      await assert.rejects(Array.fromAsync(store.list('a/')), {
        kind: 'io',
        message: /^the list breaks off/,
      });
    }
  });

  test('aborts stale uploads with IDs of digits', async (t) => {
    const aborted: string[] = [];
    const { open } = await fronted(t, (request, response) => {
      const query = queryOf(request);
      if (request.method === 'DELETE') {
        aborted.push(query.get('uploadId')!);
        return reply(response, 204);
      }
      if (!query.has('uploads')) return false;
      const isSecond = query.get('upload-id-marker') === '007';
      const body = isSecond
        ? uploadItem('a/z', '1e3', 25 * HOUR) + uploadItem('a/young', '9', HOUR)
        : `<IsTruncated>true</IsTruncated><NextKeyMarker>a/b</NextKeyMarker><NextUploadIdMarker>007</NextUploadIdMarker>${uploadItem('a/b', '007', 25 * HOUR)}`;
      return reply(response, 200, `<ListMultipartUploadsResult>${body}</ListMultipartUploadsResult>`);
    });
    await open();
    assert.deepEqual(aborted, ['007', '1e3']);
  });

  test('repeats requests that conflict with others', async (t) => {
    let conflicts = 0;
    const { open } = await fronted(t, ({ method }, response) => {
      if (conflicts === 0) return false;
      conflicts--;
      return reply(response, 409, method === 'HEAD' ? '' : failure('OperationAborted'));
    });
    conflicts = 2;
    const store = await open();
    const actions = [
      () => store.put('a/b', Buffer.from('x')),
      () => store.stat('a/b'),
      () => store.get('a/b'),
      () => Array.fromAsync(store.list('a/')),
      () => store.remove('a/b'),
    ];
    for (const action of actions) {
      conflicts = 2;
      await action();
      assert.equal(conflicts, 0);
    }
    conflicts = 9;
    await assert.rejects(store.get('a/b'), { kind: 'io', message: /OperationAborted: no/ });
  });

  test('names a clock that is off, without another attempt', async (t) => {
    let [isRefused, count, date] = [false, 0, 0];
    const { open } = await fronted(t, ({ method }, response) => {
      if (!isRefused) return false;
      count++;
      const headers: Record<string, string> = date === 0 ? {} : { date: new Date(date).toUTCString() };
      const code = date === 0 ? 'RequestTimeTooSkewed' : 'AccessDenied';
      return reply(response, 403, method === 'HEAD' ? '' : failure(code), headers);
    });
    const store = await open();
    isRefused = true;
    await assert.rejects(store.get('a/b'), isSkew);
    for (const offset of [HOUR, -HOUR]) {
      date = Date.now() + offset;
      for (const action of [() => store.get('a/b'), () => store.stat('a/b'), open]) {
        count = 0;
        await assert.rejects(action, isSkew);
        assert.equal(count, 1);
      }
    }
    date = Date.now() - 60_000;
    await assert.rejects(store.get('a/b'), { kind: 'io', message: /^the store refuses: AccessDenied: no/ });
  });

  test('names the clock of a process that is two hours ahead of the server', async (t) => {
    const { environment, makeBucket } = await s3();
    const ahead = `const RealDate = Date;
      globalThis.Date = class extends RealDate {
        constructor(...values) { if (values.length > 0) super(...values); else super(RealDate.now() + ${2 * HOUR}); }
        static now() { return RealDate.now() + ${2 * HOUR}; }
      };`;
    const directory = await temporaryDirectory(t);
    await writeFile(join(directory, 'ahead.mjs'), ahead);
    const main = join(import.meta.dirname, '../../../bin/panamax.ts');
    const args = [
      '--import',
      join(directory, 'ahead.mjs'),
      main,
      'status',
      '--store',
      `s3://${await makeBucket()}`,
    ];
    const env = { ...process.env, ...environment };
    await assert.rejects(promisify(execFile)(process.execPath, args, { env }), {
      code: 8,
      stderr: /this machine's clock differs from the store's/,
    });
  });

  test('sends the token of temporary keys and does not show it', async (t) => {
    const tokens = new Set<unknown>();
    const { front, bucket } = await fronted(t, ({ method, headers }, response) => {
      tokens.add(headers['x-amz-security-token']);
      return reply(response, 403, method === 'HEAD' ? '' : failure('InvalidToken'));
    });
    const { environment } = throughPort(await s3(), Number(front.host.split(':')[1]));
    const token = 'session+token/of=tests';
    const path = join(await temporaryDirectory(t), 'token');
    await writeFile(path, `${token}\n`);
    for (const variables of [{ S3_SESSION_TOKEN: token }, { S3_SESSION_TOKEN_FILE: path }]) {
      tokens.clear();
      const access = await readS3Access({ ...environment, ...variables });
      const store = await openS3Store(access, bucket, '', { readOnly: true });
      const error = await store.get('a/b').catch((found: unknown) => found);
      assert.match(String(error), /the store refuses: InvalidToken/);
      assert.deepEqual([...tokens], [token]);
      assert.ok(!inspect(error, { depth: Infinity, showHidden: true, getters: true }).includes(token));
    }
  });
});
