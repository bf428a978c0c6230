/** The S3 store: faults of the server and the network, first contact, stale uploads. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import type { PanamaxError } from '../../../lib/errors.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import type { Patience } from '../../../lib/store/objects/s3bucket.ts';
import { openStoreReader } from '../../../lib/store/objects/open.ts';
import { openS3Store, type S3Options } from '../../../lib/store/objects/s3.ts';
import { BUCKET_NAME, type Store } from '../../../lib/store/objects/store.ts';
import { makeReleases } from '../../support/backfill.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { fileScope } from '../../support/scope.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { missing } from '../../support/programs.ts';
import { startProxy, type Proxy } from '../../support/proxy.ts';
import { createRandom } from '../../support/random.ts';
import { noOwnS3, noS3, startOwnS3, startS3, throughPort, type S3Server } from '../../support/s3.ts';

const MiB = 1024 ** 2;
/** Of parts as the store makes them, and more of a last one. */
const LARGE = createRandom(3).bytes(40 * MiB);

/** As long as it takes, but few attempts. */
const STEADY: Patience = { attempts: 3, delay: 10, connect: 60_000, idle: 60_000 };
const HASTY: Patience = { attempts: 2, delay: 10, connect: 60_000, idle: 300 };

const whereOf = ({ daemon }: S3Server) => `: in s3://bucket/ at 127.0.0.1:${daemon!.port}`;

const scope = fileScope();
let running: Promise<S3Server> | undefined;
const s3 = () => (running ??= startS3(scope));

interface Faulty {
  readonly store: Store;
  readonly proxy: Proxy;
  /** Past the proxy. */
  readonly direct: Store;
  readonly server: S3Server;
  readonly bucket: string;
}

/** A store in a new bucket behind a proxy. */
async function openFaulty(t: TestContext, options: S3Options = { patience: STEADY }): Promise<Faulty> {
  const server = await s3();
  const proxy = await startProxy(t, { port: Number(server.access.endpoint.port) });
  const bucket = await server.makeBucket();
  return {
    server,
    bucket,
    proxy,
    direct: await openS3Store(server.access, bucket, ''),
    store: await openS3Store(throughPort(server, proxy.port).access, bucket, '', options),
  };
}

async function largeFile(t: TestContext): Promise<string> {
  const path = join(await temporaryDirectory(t), 'file');
  await writeFile(path, LARGE);
  return path;
}

async function keysOf(store: Store, prefix: string): Promise<string[]> {
  return Array.fromAsync(store.list(prefix));
}

function unfinished({ server, bucket }: Pick<Faulty, 'server' | 'bucket'>): Promise<unknown[]> {
  return Array.fromAsync(server.client.listIncompleteUploads(bucket, '', true));
}

describe('S3 store with faults', { skip: noS3() }, () => {
  test('creates a missing bucket unless it must exist', async () => {
    const { access, client } = await s3();
    const open = (options?: S3Options) => openS3Store(access, 'not-there-yet', '', options);
    await assert.rejects(open({ mustExist: true }), { kind: 'not-found', message: /^no such store: in s3:/ });
    assert.equal(await client.bucketExists('not-there-yet'), false);
    await open();
    await open({ mustExist: true });
  });

  test('refuses a name that no bucket can have as usage', async () => {
    const { access } = await s3();
    const message = /^no bucket has this name: expected 3 to 63 lower-case .* in s3:\/\/a_\/ at/;
    await assert.rejects(openS3Store(access, 'a_', ''), { kind: 'usage', message });
    for (const name of ['ab', 'a'.repeat(64)]) {
      const refused = {
        kind: 'usage',
        message: `no bucket has this name: expected ${BUCKET_NAME}, found ${name}`,
      };
      await assert.rejects(openStoreReader(`s3://${name}/prefix`), refused);
    }
  });

  test('repeats uploads that are cut', async (t) => {
    const { store, proxy, direct } = await openFaulty(t);
    const path = await largeFile(t);
    for (const after of [0, 400, 3 * MiB, 16 * MiB - 1]) {
      proxy.setFault({ kind: 'cut', direction: 'up', after, times: 2 });
      await store.putFile('a/large', path);
      await store.put('a/small', LARGE.subarray(0, 2 * MiB));
      assert.ok((await buffer(await direct.open('a/large'))).equals(LARGE));
      assert.ok((await direct.get('a/small'))!.equals(LARGE.subarray(0, 2 * MiB)));
      await direct.remove('a/large');
    }
    assert.equal(proxy.resets, 8);
  });

  test('survives lost responses', async (t) => {
    const faulty = await openFaulty(t);
    const { store, proxy, direct } = faulty;
    const path = await largeFile(t);
    // an upload in parts makes six requests: begin, three parts, the end, a look at it
    for (let lost = 0; lost < 3; lost++) {
      proxy.setFault({ kind: 'cut', direction: 'down', after: 0, times: 1 + lost });
      await store.putFile(`a/${lost}`, path).catch((error: unknown) => assert.match(String(error), /in s3:/));
      proxy.setFault();
      await store.putFile(`a/${lost}`, path);
      assert.ok((await buffer(await direct.open(`a/${lost}`))).equals(LARGE));
    }
    for (const action of [
      () => store.put('a/0', Buffer.from('again')),
      () => store.remove('a/1'),
      () => store.stat('a/2'),
    ]) {
      proxy.setFault({ kind: 'cut', direction: 'down', after: 0, times: 1 });
      await action();
    }
    assert.deepEqual(await keysOf(direct, 'a/'), ['a/0', 'a/2']);
    assert.equal(String(await direct.get('a/0')), 'again');
  });

  test('fails with io for an upload that is always cut, and shows no part of it', async (t) => {
    const faulty = await openFaulty(t);
    const { store, proxy, direct } = faulty;
    const path = await largeFile(t);
    await direct.put('a/before', Buffer.from('before'));
    for (const after of [700, MiB]) {
      proxy.setFault({ kind: 'cut', direction: 'up', after });
      for (const key of ['a/before', 'a/new']) {
        await assert.rejects(store.putFile(key, path), { kind: 'io', message: new RegExp(`s3://.* ${key}`) });
        await assert.rejects(store.put(key, LARGE.subarray(0, 2 * MiB)), { kind: 'io' });
      }
    }
    assert.deepEqual(await keysOf(direct, 'a/'), ['a/before']);
    assert.equal(String(await direct.get('a/before')), 'before');
    // the abort request is short enough to pass
    assert.deepEqual(await unfinished(faulty), []);
  });

  test('repeats an upload whose bytes are changed on the way', async (t) => {
    const { store, proxy, direct } = await openFaulty(t);
    proxy.setFault({ kind: 'corrupt', after: MiB, times: 1 });
    await store.putFile('a/large', await largeFile(t));
    assert.ok((await buffer(await direct.open('a/large'))).equals(LARGE));
    proxy.setFault({ kind: 'corrupt', after: MiB, times: 9 });
    await assert.rejects(store.put('a/b', LARGE), { kind: 'io' });
    assert.deepEqual(await keysOf(direct, 'a/'), ['a/large']);
  });

  test('resumes downloads that are cut', async (t) => {
    const { store, proxy, direct } = await openFaulty(t);
    await direct.put('a/large', LARGE);
    proxy.setFault({ kind: 'cut', direction: 'down', after: 3 * MiB });
    assert.ok((await buffer(await store.open('a/large'))).equals(LARGE));
    assert.ok((await store.get('a/large'))!.equals(LARGE));
    assert.ok(proxy.resets >= 2 * 13, `${proxy.resets} resets`);
  });

  test('fails with io for a download that is always cut', async (t) => {
    const { store, proxy, direct } = await openFaulty(t);
    await direct.put('a/b', LARGE);
    proxy.setFault({ kind: 'cut', direction: 'down', after: 100 });
    await assert.rejects(store.get('a/b'), { kind: 'io' });
    await assert.rejects(store.stat('a/b'), { kind: 'io' });
    await assert.rejects(keysOf(store, 'a/'), { kind: 'io' });
    proxy.setFault();
    const begun = await store.open('a/b');
    proxy.setFault({ kind: 'refuse' });
    await assert.rejects(buffer(begun), { kind: 'io', message: /in s3:.* a\/b/ });
  });

  test('refuses to mix an object with its replacement', async (t) => {
    const { store, proxy, direct } = await openFaulty(t);
    await direct.put('a/b', LARGE);
    proxy.setFault({ kind: 'cut', direction: 'down', after: 3 * MiB, times: 1 });
    const bytes = await store.open('a/b');
    await direct.put('a/b', LARGE.toReversed());
    await assert.rejects(buffer(bytes), { kind: 'io', message: /replaced while it was read/ });
  });

  test('resumes a list that is cut', async (t) => {
    const { store, proxy, direct } = await openFaulty(t);
    const keys = Array.from({ length: 30 }, (_, i) => `many/${String(i).padStart(3, '0')}`);
    await Promise.all(keys.map((key) => direct.put(key, Buffer.from(key))));
    proxy.setFault({ kind: 'cut', direction: 'down', after: 2000, times: 2 });
    assert.deepEqual(await keysOf(store, 'many/'), keys);
    assert.equal(proxy.resets, 2);
  });

  test('repeats a request after the error page of a proxy', async (t) => {
    const { store, proxy } = await openFaulty(t);
    for (const status of [429, 500, 502, 503, 504]) {
      proxy.setFault({ kind: 'answer', status, times: 2 });
      await store.put('a/b', Buffer.from(String(status)));
      proxy.setFault({ kind: 'answer', status, times: 2 });
      assert.equal(String(await store.get('a/b')), String(status));
    }
    proxy.setFault({ kind: 'answer', status: 503, times: 3 });
    await assert.rejects(store.get('a/b'), { kind: 'io', message: /answer 503/ });
  });

  test('gives up a server that stalls', async (t) => {
    const { store, proxy, direct } = await openFaulty(t, { patience: HASTY });
    await direct.put('a/b', LARGE);
    const begun = (await store.open('a/b'))[Symbol.asyncIterator]();
    await begun.next();
    proxy.setFault({ kind: 'hang' });
    const silent = { kind: 'io', message: /no data for 0.3 s/ };
    await assert.rejects(store.get('a/b'), silent);
    await assert.rejects(store.put('a/c', Buffer.from('x')), silent);
    await assert.rejects(async () => {
      while (!(await begun.next()).done);
    }, silent);
  });

  test('closes the connection of an abandoned download', async (t) => {
    const { store, proxy, direct } = await openFaulty(t);
    await direct.put('a/b', LARGE);
    for await (const piece of await store.open('a/b')) {
      assert.ok(piece.length > 0);
      break;
    }
    // an idle store does not keep the process alive, so the test ends
    assert.ok(proxy.connections > 0);
  });

  test('waits for a slow connection', async (t) => {
    const { store, proxy } = await openFaulty(t);
    proxy.setFault({ kind: 'slow', rate: 1_000_000 });
    const bytes = LARGE.subarray(0, 500_000);
    await store.put('a/b', bytes);
    assert.ok((await store.get('a/b'))!.equals(bytes));
  });

  test('ends requests in progress on abort', async (t) => {
    const stop = new AbortController();
    const { store, proxy, direct } = await openFaulty(t, { patience: STEADY, signal: stop.signal });
    await direct.put('a/b', LARGE);
    proxy.setFault({ kind: 'hang' });
    const actions = [
      store.get('a/b'),
      store.stat('a/b'),
      store.put('a/c', LARGE),
      store.putFile('a/d', await largeFile(t)),
      store.remove('a/b'),
      keysOf(store, 'a/'),
    ];
    setImmediate(() => stop.abort());
    await Promise.all(actions.map((action) => assert.rejects(action, { kind: 'interrupted' })));
    await assert.rejects(store.get('a/b'), { kind: 'interrupted' });
  });
});

describe('S3 store at the start', { skip: noS3() }, () => {
  test('names the address of a server that does not answer', async (t) => {
    const server = await s3();
    const proxy = await startProxy(t, { port: Number(server.access.endpoint.port) });
    const { access } = throughPort(server, proxy.port);
    for (const kind of ['refuse', 'hang'] as const) {
      proxy.setFault({ kind });
      await assert.rejects(openS3Store(access, 'panamax-none', 'a/', { firstContact: HASTY }), {
        kind: 'io',
        message: new RegExp(`s3://panamax-none/a/ at 127.0.0.1:${proxy.port}`),
      });
    }
  });

  test('fails for wrong keys without showing them', async () => {
    const { access, makeBucket } = await s3();
    const bucket = await makeBucket();
    for (const wrong of [{ secretKey: `${access.secretKey}?` }, { accessKey: `${access.accessKey}?` }]) {
      const error = await openS3Store({ ...access, ...wrong }, bucket, '').then(
        () => assert.fail('opened'),
        (refusal: unknown) => refusal,
      );
      assert.match(String(error), /the store refuses: .* in s3:/);
      const all = inspect(error, { depth: Infinity, showHidden: true, getters: true });
      for (const key of [access.secretKey, access.accessKey]) assert.ok(!all.includes(key), all);
    }
  });

  test('creates one bucket from concurrent processes', async () => {
    const { access, makeBucket, client } = await s3();
    const bucket = `${await makeBucket()}-new`;
    const stores = await Promise.all([1, 2, 3].map(() => openS3Store(access, bucket, '')));
    await stores[0]!.put('a/b', Buffer.from('x'));
    assert.equal(String(await stores[2]!.get('a/b')), 'x');
    assert.ok(await client.bucketExists(bucket));
  });
});

test('a backfill stores the same objects in a bucket as in a directory', { skip: noS3() }, async (t) => {
  const server = await s3();
  const bucket = await server.makeBucket();
  const directory = await makeReleases(t, ['a1', 'a2', 'b1']);
  const images = ['a1', 'a2', 'b1'].map((name) => join(directory, name));
  const options = ['--effort', 'fast', '--format', 'xdelta,oci-delta', '--log-level', 'trace'];
  const secrets = join(directory, 'secret');
  await writeFile(secrets, `${server.access.secretKey}\n`);
  const { S3_SECRET_KEY: _, ...environment } = server.environment;
  const env = { ...process.env, ...environment, S3_SECRET_KEY_FILE: secrets };
  const main = fileURLToPath(new URL('../../../bin/panamax.ts', import.meta.url));
  const said: string[] = [];
  for (const store of [join(directory, 'store'), `s3://${bucket}/team/`]) {
    const args = [
      main,
      'backfill',
      ...images,
      ...options,
      '--scratch',
      join(directory, 'scratch'),
      '--store',
      store,
    ];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
    said.push(stdout, stderr);
  }
  for (const text of said) assert.ok(!text.includes(server.access.secretKey));

  const expected = await openDirectoryStore(join(directory, 'store'));
  const found = await openS3Store(server.access, bucket, 'team/');
  for (const prefix of ['signatures/', 'pairings/', 'patches/', 'index/']) {
    const keys = await keysOf(expected, prefix);
    assert.ok(keys.length > 0);
    assert.deepEqual(await keysOf(found, prefix), keys);
    for (const key of keys) assert.ok((await found.get(key))!.equals((await expected.get(key))!), key);
  }
  // a run's record is the same but for its id
  const recordIn = async (store: typeof found) =>
    (await keysOf(store, 'runs/')).map((key) => key.split('/').slice(2).join('/'));
  const record = await recordIn(found);
  assert.deepEqual(record, await recordIn(expected));
  for (const name of ['run.json', 'report.json'])
    assert.equal(record.filter((one) => one === name).length, 1);
});

describe('S3 store on a server of its own', { skip: noOwnS3() }, () => {
  test(
    'explains HTTP to a TLS server and TLS to an HTTP server at once',
    { skip: missing('openssl') },
    async (t) => {
      const tls = await makeCertificate(await temporaryDirectory(t));
      const secure = await startOwnS3(t, { tls });
      const plain = await startOwnS3(t);
      // if it were tried again, it would be for a minute
      const firstContact = { ...STEADY, attempts: 2, delay: 60_000 };
      const open = (server: S3Server, protocol: string) => {
        const endpoint = new URL(server.access.endpoint);
        endpoint.protocol = protocol;
        return openS3Store({ ...server.access, endpoint }, 'bucket', '', { firstContact });
      };
      const problems = [
        [plain, 'https:', /^the server speaks no TLS/],
        [secure, 'https:', /^self-signed certificate/],
      ] as const;
      for (const [server, protocol, message] of problems) {
        await assert.rejects(open(server, protocol), (error: PanamaxError) => {
          assert.match(error.message, message);
          assert.ok(error.message.includes(whereOf(server)) && error.facts.isFinal, error.message);
          return true;
        });
      }
      await assert.rejects(
        openS3Store(secure.access, 'bucket', '', { firstContact: { ...STEADY, attempts: 2 } }),
        (error: PanamaxError) => {
          assert.match(error.message, /^the server speaks TLS: https:/);
          assert.ok(error.message.includes(whereOf(secure)) && error.facts.isFinal, error.message);
          return true;
        },
      );
    },
  );

  test('waits for a server that restarts', async (t) => {
    const { access, makeBucket, daemon } = await startOwnS3(t);
    const store = await openS3Store(access, await makeBucket(), '', {
      patience: { ...STEADY, attempts: 12 },
    });
    await store.put('a/b', Buffer.from('kept'));
    await daemon!.stop('SIGKILL');
    const read = store.get('a/b');
    const written = store.put('a/c', LARGE);
    await daemon!.start();
    assert.equal(String(await read), 'kept');
    await written;
    assert.deepEqual(await keysOf(store, 'a/'), ['a/b', 'a/c']);
  });

  test('aborts old uploads of killed processes', async (t) => {
    const server = await startOwnS3(t);
    const proxy = await startProxy(t, { port: server.daemon!.port });
    const bucket = await server.makeBucket();
    const path = await largeFile(t);
    // a process that is killed between the parts
    proxy.setFault({ kind: 'slow', rate: 20 * MiB });
    const script = `
      const { openS3Store } = await import(process.argv[1]);
      const [access, bucket, path] = process.argv.slice(2);
      const { endpoint, ...keys } = JSON.parse(access);
      const store = await openS3Store({ endpoint: new URL(endpoint), ...keys }, bucket, '');
      await store.putFile('a/large', path);`;
    const module = import.meta.resolve('../../../lib/store/objects/s3.ts');
    const access = JSON.stringify(throughPort(server, proxy.port).access);
    const child = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      script,
      module,
      access,
      bucket,
      path,
    ]);
    const exit = once(child, 'exit');
    while ((await unfinished({ server, bucket })).length === 0) assert.equal(child.exitCode, null);
    child.kill('SIGKILL');
    await exit;

    const store = await openS3Store(server.access, bucket, '');
    assert.deepEqual(await keysOf(store, 'a/'), []);
    assert.equal((await unfinished({ server, bucket })).length, 1, 'it might be somebody at work');
    const yesterday = new Date(Date.now() - 25 * 3600 * 1000);
    const uploads = join(server.daemon!.directory, bucket, '.sgwtmp', 'multipart');
    for (const name of await readdir(uploads, { recursive: true })) {
      await utimes(join(uploads, name), yesterday, yesterday);
    }
    await openS3Store(server.access, bucket, 'other/');
    assert.equal((await unfinished({ server, bucket })).length, 1, 'not below the prefix');
    await openS3Store(server.access, bucket, '');
    assert.deepEqual(await unfinished({ server, bucket }), []);
  });
});
