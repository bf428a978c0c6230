/** With a trusted key, an engine pulls only an image that a signed record or the caller names by digest. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { EXIT_CODES } from '../../lib/errors.ts';
import { startFront } from '../support/front.ts';
import { panamax, panamaxJson, panamaxWith } from '../support/commands.ts';
import { missing, notRoot } from '../support/programs.ts';
import { freePort } from '../support/port.ts';
import { pushReleases } from '../support/pushed.ts';
import { startRegistry } from '../support/registry.ts';
import { SITE_ENGINES } from '../support/siteengines.ts';
import { startWeb } from '../support/web.ts';

const podman = SITE_ENGINES['containers-storage'];

/** Answers to panamax; podman always reaches the registry. */
const FAULTS = {
  none: () => false,
  refuses: (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(403).end();
    return true;
  },
  away: (_: IncomingMessage, response: ServerResponse) => {
    response.destroy();
    return true;
  },
} as const;

const isEngine = ({ headers }: IncomingMessage) => headers['user-agent']?.startsWith('containers/') === true;

/** An empty podman, a registry with two releases, and a store of releases under other names, served over HTTP. */
async function startSite(t: TestContext, fault: keyof typeof FAULTS) {
  let active: keyof typeof FAULTS = 'none';
  const registry = await startFront(
    t,
    await startRegistry(t),
    (request, response) => !isEngine(request) && FAULTS[active](request, response),
  );
  const made = await pushReleases(t, registry);
  active = fault;
  const path = (name: string) => join(made.directory, name);
  await panamax('keygen', path('owner'));
  await panamax('keygen', path('other'));
  const user = await podman.start(t);
  const registries = path('registries.conf');
  await writeFile(registries, `[[registry]]\nlocation = "${registry.host}"\ninsecure = true\n`);
  const env = { ...user.env, CONTAINERS_REGISTRIES_CONF: registries };
  const options = ['--engine', 'podman', '--insecure-registry', registry.host, ...made.site];
  const key = ['--verify-key', path('owner.pub')];
  return {
    made,
    path,
    store: (await startWeb(t, made.store)).url,
    pull: (name: string, ...more: readonly string[]) =>
      panamaxWith(env, 'pull', name, ...options, ...key, ...more),
    /** The image's ID, if the engine has one under the name. */
    imageID: (name: string) => podman.imageID(user, name).catch(() => undefined),
  };
}

const REFUSAL = /no trusted key names the image of [^ ]*:2, and the engine may not pull it unsigned/;

describe(
  'pull with a trusted key and without a signed record',
  { skip: missing(...podman.programs, 'docker-registry', 'skopeo') || notRoot(), concurrency: 2 },
  () => {
    for (const [fault, kind, again] of [
      ['refuses', 'untrusted', /the registry refuses/],
      ['away', 'io', /registry: /],
    ] as const) {
      test(`fails if the store lacks the name and the registry ${fault === 'away' ? 'is away' : fault}`, async (t) => {
        const { made, store, pull, imageID } = await startSite(t, fault);
        const name = `${made.name}:2`;
        for (const dryRun of [['--dry-run'], []]) {
          const { code, stdout, stderr } = await pull(name, '--store', store, ...dryRun);
          assert.equal(code, EXIT_CODES[kind], stderr);
          assert.equal(stdout, '');
          assert.match(stderr, REFUSAL);
          assert.match(stderr, /the store knows no /);
          assert.match(stderr, again);
          assert.equal(stderr.trim().split('\n').length, 1, stderr);
        }
        assert.equal(await imageID(name), undefined);

        const { code, stdout, stderr } = await pull(
          name,
          '--store',
          store,
          '--allow-unsigned-pull',
          '--json',
        );
        assert.equal(code, 0, stderr);
        assert.equal((JSON.parse(stdout) as { method: string }).method, 'pull');
        assert.equal(await imageID(name), made.images[1]!.configDigest);
      });
    }

    test('fails with io if the store is away, whatever the registry answers', async (t) => {
      const { made, pull, imageID } = await startSite(t, 'refuses');
      const away = ['--store', `http://127.0.0.1:${await freePort()}/`];
      const { code, stderr } = await pull(`${made.name}:2`, ...away);
      assert.equal(code, EXIT_CODES.io, stderr);
      assert.match(stderr, REFUSAL);
      assert.equal(await imageID(`${made.name}:2`), undefined);
    });

    test('fails if the registry alone is asked, and has no record', async (t) => {
      const { made, path, pull, imageID } = await startSite(t, 'none');
      const name = `${made.name}:2`;
      const refused = await pull(name);
      assert.equal(refused.code, EXIT_CODES.untrusted, refused.stderr);
      assert.equal(await imageID(name), undefined);

      // the option permits a missing record, not one of another key
      await made.publish(2, '--sign', path('other.key'));
      const forged = await pull(name, '--allow-unsigned-pull');
      assert.equal(forged.code, EXIT_CODES.untrusted, forged.stderr);
      assert.match(forged.stderr, /not signed by a key that is trusted/);
      assert.equal(await imageID(name), undefined);

      const allowed = await pull(`${made.name}:1`, '--allow-unsigned-pull');
      assert.equal(allowed.code, 0, allowed.stderr);
      assert.match(allowed.stdout, /the registry has no record of [^ ]*:1/);
      assert.equal(await imageID(`${made.name}:1`), made.images[0]!.configDigest);
    });

    test('lets the engine pull a digest that the caller or a signed record names', async (t) => {
      const { made, path, store, pull, imageID } = await startSite(t, 'refuses');
      const { manifestDigest, configDigest } = made.images[1]!;
      const digest = await pull(`${made.name}@${manifestDigest}`, '--store', store);
      assert.equal(digest.code, 0, digest.stderr);
      assert.equal(await imageID(`${made.name}:${manifestDigest.replace(':', '-')}`), configDigest);

      const tag = ['tag', `${made.name}:stable`, path('2'), '--store', made.store];
      await panamaxJson(...tag, '--sign', path('owner.key'));
      const signed = await pull(`${made.name}:stable`, '--store', store);
      assert.equal(signed.code, 0, signed.stderr);
      assert.equal(await imageID(`${made.name}:stable`), configDigest);
    });
  },
);
