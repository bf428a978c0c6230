/** Benchmark of the bytes on the wire from a registry to a site, with and without panamax. See `--help`. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { formatShare, formatSize, formatTable } from '../bin/format.ts';
import { panamaxWith } from '../test/support/panamax.ts';
import { startPlant } from '../test/support/plant.ts';
import { SITE_ENGINES } from '../test/support/siteengines.ts';
import { runCommand } from './command.ts';

const HELP = `Brings image NEW to a site that has image OLD, by panamax and by a pull.

Usage: npm run bench:site -- CORPUS OLD NEW [--engine ENGINE...]

Needs root, and the programs of .ci/run. It starts a registry, Redis, an S3 server, workers and the engines, and counts
the bytes between them. CORPUS has OLD and NEW as OCI layouts.

  --engine ENGINE   docker-daemon, containers-storage or containerd (default: each of them)
`;

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      engine: { type: 'string', multiple: true, default: Object.keys(SITE_ENGINES) },
      help: { type: 'boolean', default: false },
    },
  });
  const [corpus, ...images] = positionals;
  if (values.help || corpus === undefined || images.length !== 2) return void process.stdout.write(HELP);
  const actions: (() => Promise<void>)[] = [];
  const scope = { after: (action: () => Promise<void>) => void actions.push(action) };
  const directory = await mkdtemp(join(tmpdir(), 'panamax-bench-'));
  try {
    const plant = await startPlant(scope);
    const names = images.map((_, i) => `${plant.registry}/team/app:${i + 1}`);
    for (const [i, image] of images.entries()) {
      const copy = ['--insecure-policy', 'copy', '-q', '--preserve-digests', '--dest-tls-verify=false'];
      // asynchronous, since the proxy in front of the registry runs in this thread
      await promisify(execFile)('skopeo', [...copy, `oci:${join(corpus, image)}`, `docker://${names[i]}`]);
    }
    const [first, second] = names as [string, string];
    await plant.makePatches([`docker://${second}`], '--sources', `docker://${first}`);
    process.stderr.write('patches made\n');
    const rows: string[][] = [];
    for (const transport of values.engine) {
      const engine = SITE_ENGINES[transport as keyof typeof SITE_ENGINES];
      const ended = actions.length;
      const site = await engine.start(scope);
      await engine.pull(site, first);
      const before = plant.storeLine.received;
      const started = performance.now();
      const place = ['--state', join(directory, 'state'), '--scratch', join(directory, 'scratch')];
      const options = ['--engine', transport, '--store', plant.store, '--no-fallback', ...place];
      const env = { ...site.env, ...plant.environment };
      const { code, stderr } = await panamaxWith(env, 'pull', second, ...options);
      if (code !== 0) throw new Error(stderr);
      const seconds = (performance.now() - started) / 1000;
      const moved = plant.storeLine.received - before;
      const imageID = await engine.imageID(site, second);
      await engine.run(site, second, '/bin/true');
      const registryBefore = plant.registryLine.received;
      await engine.remove(site, second);
      await engine.pull(site, second);
      const isSame = imageID === (await engine.imageID(site, second));
      const pulled = plant.registryLine.received - registryBefore;
      const sizes = [formatSize(pulled), formatSize(moved), formatShare(moved, pulled)];
      rows.push([transport, ...sizes, `${seconds.toFixed(1)} s`, isSame ? 'same image ID' : 'ANOTHER IMAGE']);
      for (const action of actions.splice(ended).toReversed()) await action();
    }
    const table = formatTable([['ENGINE', 'PULL', 'MOVED', 'SHARE', 'TIME', ''], ...rows], 1);
    process.stdout.write(`${images.join(' to ')}\n${table}\n`);
  } finally {
    for (const action of actions.toReversed()) await action();
    await rm(directory, { recursive: true, force: true });
  }
}

await runCommand(main);
