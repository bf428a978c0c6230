/**
 * A real S3 server for tests: versitygw over a directory, or a running one (TEST_S3_ENDPOINT,
 * TEST_S3_ACCESS_KEY, TEST_S3_SECRET_KEY).
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Client } from 'minio';
import type { S3Access } from '../../lib/store/objects/credentials.ts';
import { startDaemon, type Daemon } from './daemon.ts';
import type { Scope } from './scope.ts';
import { missing } from './programs.ts';

export interface S3Server {
  readonly access: S3Access;
  /** The environment for a panamax process. */
  readonly environment: Readonly<Record<string, string>>;
  /** For direct access to the objects, without panamax. */
  readonly client: Client;
  /** Creates an empty bucket and returns its name. */
  readonly makeBucket: () => Promise<string>;
  /** Undefined for a server that was running before: tests must not stop it. */
  readonly daemon: Daemon | undefined;
}

const ACCESS_KEY = 'panamax-test';
/** With characters that need encoding; it must never appear in any output. */
export const SECRET_KEY = 'sEcret/of+the=tests';

/** For a test's `skip` option. */
export function noS3(): string | false {
  return process.env['TEST_S3_ENDPOINT'] ? false : missing('versitygw');
}

/** For the `skip` option of a test that stops the server. */
export function noOwnS3(): string | false {
  return missing('versitygw');
}

export async function startS3(scope: Scope, options: S3Options = {}): Promise<S3Server> {
  const given = process.env['TEST_S3_ENDPOINT'];
  if (!given) return startOwnS3(scope, options);
  return serverOf(new URL(given), process.env['TEST_S3_ACCESS_KEY']!, process.env['TEST_S3_SECRET_KEY']!);
}

export interface S3Options {
  /** Certificate and key for TLS; plain HTTP without them. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** By default each request has its own connection, as faults of proxies are set for connections. */
  readonly keepsConnections?: boolean;
}

export async function startOwnS3(
  scope: Scope,
  { tls, keepsConnections = false }: S3Options = {},
): Promise<S3Server> {
  const kept = keepsConnections ? ['--keep-alive'] : [];
  const secure = tls ? ['--cert', tls.certificate, '--key', tls.key] : [];
  const daemon = await startDaemon(scope, {
    command: 'versitygw',
    args: (port, directory) => {
      const options = ['--port', `127.0.0.1:${port}`, '--quiet', ...kept, ...secure];
      return [...options, 'posix', directory];
    },
    env: { ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY },
    async ping(port) {
      if (tls) await once(connect(port, '127.0.0.1'), 'connect');
      else await (await fetch(`http://127.0.0.1:${port}/`)).arrayBuffer();
    },
  });
  return serverOf(new URL(`http://127.0.0.1:${daemon.port}`), ACCESS_KEY, SECRET_KEY, daemon);
}

/** The same server behind a proxy. */
export function throughPort({ access, ...server }: S3Server, port: number): S3Server {
  const endpoint = new URL(`http://127.0.0.1:${port}`);
  return { ...server, access: { ...access, endpoint }, environment: environmentOf({ ...access, endpoint }) };
}

function serverOf(endpoint: URL, accessKey: string, secretKey: string, daemon?: Daemon): S3Server {
  const access = { endpoint, region: 'us-east-1', accessKey, secretKey };
  const client = new Client({
    endPoint: endpoint.hostname,
    port: Number(endpoint.port) || (endpoint.protocol === 'https:' ? 443 : 80),
    useSSL: endpoint.protocol === 'https:',
    ...access,
  });
  return {
    access,
    environment: environmentOf(access),
    client,
    async makeBucket() {
      const bucket = `panamax-${randomBytes(6).toString('hex')}`;
      await client.makeBucket(bucket, access.region);
      return bucket;
    },
    daemon,
  };
}

function environmentOf({ endpoint, accessKey, secretKey }: S3Access): Record<string, string> {
  return { S3_ENDPOINT: endpoint.origin, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey };
}
