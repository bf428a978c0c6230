/** Starts a registry for one test: Debian's docker-registry, optionally with a password. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDaemon, type Daemon } from './daemon.ts';
import type { Scope } from './scope.ts';

export interface Registry extends Daemon {
  /** `127.0.0.1:PORT`, as in references. */
  readonly host: string;
}

/** Where a registry sends its notifications to. */
export interface NotificationEndpoint {
  readonly url: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** @param account that clients must log in with; needs `htpasswd` (apache2-utils) */
export async function startRegistry(
  scope: Scope,
  account?: { readonly user: string; readonly password: string },
  tls?: { readonly certificate: string; readonly key: string },
  endpoint?: NotificationEndpoint,
): Promise<Registry> {
  const daemon = await startDaemon(scope, {
    command: 'docker-registry',
    args(port, directory) {
      const auth = account && { htpasswd: { realm: 'tests', path: join(directory, 'htpasswd') } };
      if (account) writeFileSync(auth!.htpasswd.path, htpasswd(account.user, account.password));
      const config = {
        version: 0.1,
        log: { level: 'error', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
        http: { addr: `127.0.0.1:${port}`, ...(tls && { tls }) },
        ...(auth && { auth }),
        ...(endpoint && {
          notifications: {
            endpoints: [{ name: 'watch', timeout: '2s', threshold: 100, backoff: '100ms', ...endpoint }],
          },
        }),
      };
      // JSON is YAML
      const path = join(directory, 'config.yml');
      writeFileSync(path, JSON.stringify(config));
      return ['serve', path];
    },
    ping: pingApi,
  });
  return asRegistry(daemon);
}

/** A registry with the referrers API, which Debian's lacks; built from test/judge/registry. */
export async function startReferrersRegistry(scope: Scope): Promise<Registry> {
  const daemon = await startDaemon(scope, {
    command: 'referrers-registry',
    args: (port) => ['-address', `127.0.0.1:${port}`],
    ping: pingApi,
  });
  return asRegistry(daemon);
}

/** A TLS registry answers plain HTTP with an error, so any answer will do. */
async function pingApi(port: number): Promise<void> {
  await (await fetch(`http://127.0.0.1:${port}/v2/`)).arrayBuffer();
}

function asRegistry(daemon: Daemon): Registry {
  return Object.defineProperties(
    { host: `127.0.0.1:${daemon.port}` },
    Object.getOwnPropertyDescriptors(daemon),
  ) as Registry;
}

/** The registry accepts bcrypt only. */
function htpasswd(user: string, password: string): string {
  const { status, stdout, error } = spawnSync('htpasswd', ['-nbB', user, password], { encoding: 'utf8' });
  if (status !== 0) throw new Error('htpasswd failed', { cause: error });
  return stdout;
}
