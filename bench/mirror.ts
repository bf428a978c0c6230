/** Benchmark of pulls through a mirror, beside plain pulls, on links of several rates. See `--help`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatSize, formatTable } from '../bin/format.ts';
import { MIRROR_ENGINES } from '../test/support/mirrorengines.ts';
import { startMirror } from '../test/support/mirror.ts';
import { panamaxJson } from '../test/support/panamax.ts';
import { startProxy } from '../test/support/proxy.ts';
import { startRegistry } from '../test/support/registry.ts';
import type { Scope } from '../test/support/scope.ts';
import { SITE_ENGINES } from '../test/support/siteengines.ts';
import { skopeoPush } from '../test/support/skopeo.ts';
import { startWeb } from '../test/support/web.ts';
import { runCommand } from './command.ts';

const HELP = `Pulls image NEW to an engine that has image OLD, through a mirror that holds OLD and from the registry.

Usage: npm run bench:mirror -- CORPUS OLD NEW [--engine ENGINE...] [--rate MBIT...]

Needs root, and the programs of .ci/run. Counts the bytes over the site's link. CORPUS has OLD and NEW as OCI layouts.

  --engine ENGINE   podman, containerd or docker (default: each of them)
  --rate MBIT       of the link in Mbit/s, 0 for no limit (default: 1, 10 and 0)
`;

const HOST = 'registry.example';
const PATH = 'team/app';

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      engine: { type: 'string', multiple: true, default: Object.keys(MIRROR_ENGINES) },
      rate: { type: 'string', multiple: true, default: ['1', '10', '0'] },
      help: { type: 'boolean', default: false },
    },
  });
  const [corpus, ...images] = positionals;
  if (values.help || corpus === undefined || images.length !== 2) return void process.stdout.write(HELP);
  await withScope(async (scope) => {
    const directory = await mkdtemp(join(tmpdir(), 'panamax-bench-'));
    scope.after(() => rm(directory, { recursive: true, force: true }));
    const registry = await startRegistry(scope);
    const layouts = images.map((image) => join(corpus, image));
    for (const [i, layout] of layouts.entries())
      await skopeoPush(`oci:${layout}`, `${registry.host}/${PATH}:${i + 1}`);
    const store = join(directory, 'store');
    const [old, next] = layouts as [string, string];
    await panamaxJson(
      'backfill',
      next,
      '--sources',
      old,
      '--store',
      store,
      '--scratch',
      join(directory, 'scratch'),
    );
    process.stderr.write('patch made\n');

    // the site's link: to the registry and to the store
    const link = await startProxy(scope, registry);
    const storeLink = await startProxy(scope, await startWeb(scope, store));
    const received = () => link.received + storeLink.received;
    const rows: string[][] = [];
    for (const engine of values.engine) {
      for (const rate of values.rate.map(Number)) {
        const timed = async (pull: () => Promise<unknown>) => {
          const fault = rate > 0 ? ({ kind: 'slow', rate: (rate * 1e6) / 8 } as const) : undefined;
          for (const line of [link, storeLink]) line.setFault(fault);
          const [before, started] = [received(), performance.now()];
          await pull();
          const seconds = (performance.now() - started) / 1000;
          for (const line of [link, storeLink]) line.setFault();
          return [formatSize(received() - before), `${seconds.toFixed(1)} s`];
        };
        const mirrorEngine = MIRROR_ENGINES[engine]!;
        const { transport } = mirrorEngine;
        const plain = await withScope(async (own) => {
          const user = await SITE_ENGINES[transport].start(own);
          const name = `127.0.0.1:${link.port}/${PATH}`;
          await SITE_ENGINES[transport].pull(user, `${name}:1`);
          return timed(() => SITE_ENGINES[transport].pull(user, `${name}:2`));
        });
        const mirrored = await withScope(async (own) => {
          const state = await mkdtemp(join(directory, 'mirror-'));
          const upstream = `${HOST}=http://127.0.0.1:${link.port}`;
          const options = ['--upstream', upstream, '--store', `http://127.0.0.1:${storeLink.port}`];
          const mirror = await startMirror(own, state, ...options);
          const puller = await mirrorEngine.start(own, {
            mirror,
            repository: `${HOST}/${PATH}`,
            directory: state,
          });
          await puller.pull(`${puller.name}:1`);
          return timed(() => puller.pull(`${puller.name}:2`));
        });
        rows.push([engine, rate > 0 ? `${rate} Mbit/s` : 'no limit', ...plain, ...mirrored]);
        process.stderr.write(`${rows.at(-1)!.join('  ')}\n`);
      }
    }
    const head = ['ENGINE', 'LINK', 'PLAIN', 'TIME', 'MIRROR', 'TIME'];
    process.stdout.write(`${images.join(' to ')}\n${formatTable([head, ...rows], 2)}\n`);
  });
}

/** Runs an action, then all that it has left for the end, in reverse order. */
async function withScope<Result>(action: (scope: Scope) => Promise<Result>): Promise<Result> {
  const ends: (() => Promise<void>)[] = [];
  try {
    return await action({ after: (end) => void ends.push(end) });
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

await runCommand(main);
