/** The files of deploy/ and compose.yaml fit the commands, the queues and the metrics that they name. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';
import { checkArguments, parseArguments } from '../../bin/arguments.ts';
import { variableOf } from '../../bin/command.ts';
import { COMMANDS } from '../../bin/commands.ts';
import { parseSize } from '../../bin/format.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { prefixOf } from '../../lib/queue/names.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { STAGES } from '../../lib/run/stage.ts';
import { createMetrics } from '../../workers/metrics.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';

const ROOT = join(import.meta.dirname, '../..');
const CHART = join(ROOT, 'deploy/helm/panamax');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

interface Container {
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string }[];
  readonly securityContext: object;
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly volumeMounts: readonly { readonly name: string }[];
}
interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: { readonly runAsNonRoot: boolean };
        readonly containers: readonly [Container];
        readonly volumes?: readonly {
          readonly name: string;
          readonly emptyDir?: { readonly sizeLimit: string };
        }[];
      };
    };
    readonly triggers: readonly { readonly metadata: Readonly<Record<string, string>> }[];
  };
}

function resourcesOf(path: string): Resource[] {
  return parseAllDocuments(read(path))
    .map((document) => document.toJS() as Resource | null)
    .filter((resource) => resource !== null);
}

const renderingOf = (name: string) => resourcesOf(`deploy/helm/rendered/${name}.yaml`);

const RENDERINGS = ['full', 'external'] as const;
const podsOf = (resources: readonly Resource[]) =>
  resources.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');

/** Parses a command line as the program does. */
async function parseLine([name, ...argv]: readonly string[]) {
  const command = await COMMANDS[name!]!();
  const args = parseArguments(argv, command.options, {});
  checkArguments(command, args);
  return args;
}

describe('the chart', () => {
  test('is the one that was rendered, linted and validated', () => {
    const lines = globSync('**/*', { cwd: CHART, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'README.md')
      .map((entry) => `./${join(entry.parentPath, entry.name).slice(CHART.length + 1)}`)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map((path) => `${hashOf(readFileSync(join(CHART, path)))}  ${path}\n`);
    for (const name of RENDERINGS) {
      const [, found] = /the chart with the hash ([0-9a-f]{64})\n/.exec(
        read(`deploy/helm/rendered/${name}.yaml`),
      )!;
      assert.equal(found, hashOf(lines.join('')), 'run deploy/helm/check.sh');
    }
  });

  test('runs all containers without root, privileges and a writable root', () => {
    for (const resource of RENDERINGS.flatMap((name) => podsOf(renderingOf(name)))) {
      const { securityContext, containers } = resource.spec.template.spec;
      assert.equal(securityContext.runAsNonRoot, true, resource.metadata.name);
      for (const container of containers) {
        assert.deepEqual(container.securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        assert.ok(container.resources.limits.memory, resource.metadata.name);
      }
    }
  });

  test('starts commands that exist, with limits that fit their pods', async () => {
    const stages: string[] = [];
    for (const resource of RENDERINGS.flatMap((name) => podsOf(renderingOf(name)))) {
      const { containers, volumes = [], terminationGracePeriodSeconds } = resource.spec.template.spec;
      const [{ args: line, image }] = containers;
      if (!image.includes('panamax')) continue;
      const args = await parseLine(line!);
      if (line![0] !== 'worker') continue;
      stages.push(line![1]!);
      const scratch = volumes.find(({ name }) => name === 'scratch')!.emptyDir!.sizeLimit;
      assert.equal(parseSize(args.text('scratch-size')!, ''), parseSize(scratch, ''));
      // the worst stop is grace + 20 s, and the last events take 5 s
      assert.ok(terminationGracePeriodSeconds >= args.count('grace') + 25, resource.metadata.name);
    }
    assert.deepEqual(stages.toSorted(), [...STAGES, ...STAGES].toSorted());
  });

  test('scales by keys that the queues have in Redis', { skip: missing('redis-server') }, async (t) => {
    const scaled = renderingOf('full').filter(({ kind }) => kind === 'ScaledObject');
    const names = scaled.flatMap(({ spec }) => spec.triggers.map(({ metadata }) => metadata['listName']!));
    const prefix = prefixOf({ name: 's3://panamax/team/a/' });
    const parts = ['wait', 'prioritized', 'delayed', 'active'];
    const expected = STAGES.flatMap((stage) => parts.map((part) => `${prefix}:${stage}:${part}`));
    assert.deepEqual(names.toSorted(), expected.toSorted());
    const redis = await startRedis(t);
    const connection = await connectProducer(redis.url, { name: 's3://panamax/team/a/' });
    const queues = openQueues(connection);
    await queues.add('delta', [{ id: 'a.1', data: {} }]);
    await queues.add('delta', [{ id: 'a.2', data: {}, priority: 5 }]);
    const types = await Promise.all(
      ['wait', 'prioritized'].map((part) => connection.redis.type(`${prefix}:delta:${part}`)),
    );
    assert.deepEqual(types, ['list', 'zset']);
    await queues.close();
    connection.redis.disconnect();
  });
});

test('the manifests of the mirror name options and variables that exist', async () => {
  const { options } = await COMMANDS['mirror']!();
  const known = Object.keys(options).filter((name) => options[name]!.env);
  for (const name of ['site', 'nodes']) {
    const resources = resourcesOf(`deploy/mirror/${name}.yaml`);
    const { containers } = resources.at(-1)!.spec.template.spec;
    await parseLine(containers[0].args!);
    const variables = containers[0].env!.map((variable) => variable.name);
    for (const variable of variables.filter((text) => text.startsWith('PANAMAX_')))
      assert.ok(known.map(variableOf).includes(variable), variable);
  }
});

test('systemd takes the unit of the mirror', { skip: missing('systemd-analyze') }, async () => {
  const unit = join(ROOT, 'deploy/mirror/panamax-mirror.service');
  // unknown keys are warnings
  const { stdout, stderr } = await promisify(execFile)('systemd-analyze', ['verify', unit]);
  assert.equal(stdout + stderr, '');
});

test('dashboard and alerts use metrics that exist', async () => {
  const own = [...(await createMetrics().text(undefined)).matchAll(/^# TYPE (\w+) (\w+)$/gm)];
  const known = new Set(
    own.flatMap(([, name, type]) =>
      type === 'histogram' ? ['bucket', 'sum', 'count'].map((part) => `${name}_${part}`) : [name!],
    ),
  );
  const mirror = read('lib/mirror/metrics.ts').matchAll(/(?:counter|gauge)\('(\w+)'/g);
  for (const [, name] of mirror) known.add(`panamax_mirror_${name}`);
  for (const path of ['deploy/grafana/panamax.json', 'deploy/helm/panamax/files/alerts.yaml']) {
    const used = new Set(read(path).match(/panamax_\w+/g));
    assert.ok(used.size > 4, path);
    assert.deepEqual(
      [...used].filter((name) => !known.has(name)),
      [],
      path,
    );
  }
  const { panels } = JSON.parse(read('deploy/grafana/panamax.json')) as {
    panels: { id: number; targets: object[] }[];
  };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  assert.ok(panels.every(({ targets }) => targets.length > 0));
});

test('compose starts commands that exist, from one image that one service builds', async () => {
  const { services } = parse(read('compose.yaml'), { merge: true }) as {
    services: Record<
      string,
      { image: string; build?: string; command: string[]; deploy?: { replicas: string } }
    >;
  };
  const own = Object.entries(services).filter(([, { image }]) => image === '${PANAMAX_IMAGE:-panamax}');
  assert.deepEqual(
    own.map(([name]) => name),
    [...STAGES, 'panamax'],
  );
  assert.deepEqual(
    own.filter(([, { build }]) => build).map(([name]) => name),
    ['signature'],
  );
  for (const [name, { command, deploy }] of own.filter(([one]) => one !== 'panamax')) {
    assert.equal(command[1], name);
    await parseLine(command.map((word) => word.replace(/\$\{ALLOW:-(.*)\}/, '$1')));
    assert.equal(deploy!.replicas, `\${${name.toUpperCase()}:-1}`);
  }
});

function hashOf(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
