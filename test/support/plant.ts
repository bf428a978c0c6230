/** The servers between a registry and sites: registry, Redis, S3 server, workers; their traffic is counted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Scope } from './scope.ts';
import { temporaryDirectory } from './directory.ts';
import { startPanamax } from './panamax.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { startRedis } from './redis.ts';
import { startRegistry } from './registry.ts';
import { startS3, throughPort } from './s3.ts';

export const PLANT_PROGRAMS = ['docker-registry', 'redis-server'] as const;

export interface Plant {
  /** `127.0.0.1:PORT`, as in image names. */
  readonly registry: string;
  readonly store: string;
  /** Environment in which panamax reads and writes the store. */
  readonly environment: Readonly<Record<string, string>>;
  /** Proxies in front of the registry and of the store; they count bytes. */
  readonly registryLine: Proxy;
  readonly storeLine: Proxy;
  /** Enqueues images of the registry and waits until workers have made patches between them. */
  makePatches(targets: readonly string[], ...options: readonly string[]): Promise<void>;
}

export async function startPlant(scope: Scope): Promise<Plant> {
  const [registry, redis, server] = await Promise.all([
    startRegistry(scope),
    startRedis(scope),
    startS3(scope),
  ]);
  const registryLine = await startProxy(scope, registry);
  const storeLine = await startProxy(scope, { port: Number(server.access.endpoint.port) || 80 });
  const host = `127.0.0.1:${registryLine.port}`;
  const environment = { ...throughPort(server, storeLine.port).environment, REGISTRY_INSECURE: host };
  const store = `s3://${await server.makeBucket()}`;
  const scratch = await temporaryDirectory(scope);
  const env = { ...process.env, ...environment };
  const shared = ['--store', store, '--redis', redis.url];
  return {
    registry: host,
    store,
    environment,
    registryLine,
    storeLine,
    async makePatches(targets, ...options) {
      const worker = startPanamax(
        ['worker', 'all', ...shared, '--scratch', scratch, '--log-level', 'warn'],
        env,
      );
      const complaints = text(worker.stderr);
      const enqueue = startPanamax(
        ['enqueue', ...targets, '--unchecked', ...options, ...shared, '--wait'],
        env,
      );
      const said = text(enqueue.stderr);
      await once(enqueue, 'close');
      worker.kill('SIGTERM');
      if (worker.exitCode === null) await once(worker, 'close');
      assert.equal(enqueue.exitCode, 0, `${await said}\n${await complaints}`);
    },
  };
}
