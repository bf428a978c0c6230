/** Every document of a run's record, damaged in every field: reading it is refused with the place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { digestOf } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { putOutcome, readOutcomes } from '../../lib/run/outcome.ts';
import { findRequest, loadScope, putRequest, putScope } from '../../lib/run/record.ts';
import { addBytes, countStatuses, sumBytes, type ReportPart, type RunSummary } from '../../lib/run/report.ts';
import type { PatchOutcome } from '../../lib/run/schemas.ts';
import type { Stage, Status } from '../../lib/run/stage.ts';
import { findProgress, putHeartbeat } from '../../lib/run/runs.ts';
import { findSummary, putReport, readParts } from '../../lib/run/summary.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { parseInventory } from '../../producers/question/inventory.ts';
import { parseItemJob, parseRunJob } from '../../workers/jobs.ts';
import { makeCandidate } from '../support/candidate.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { unsealed } from '../support/unsealed.ts';
import { planOf } from '../support/worker.ts';

const image = { manifest: digestOf('image'), reference: 'oci:image' };
const candidate = makeCandidate(image.manifest, { images: [image.manifest], tlshDistance: 3 });
const name = { manifest: image.manifest, config: digestOf('config'), layers: digestOf(''), size: 1 };
const patch: PatchOutcome = {
  descriptor: {
    format: 'xdelta',
    effort: 'fast',
    source: { ...name, diffIDs: [], images: [image.manifest] },
    target: name,
    patch: { size: 5, digest: digestOf('patch') },
    sizes: { predicted: 4, actual: 5, pull: 6 },
    signature: { key: 'key', value: 'value' },
  },
  encodeSeconds: 0.5,
};
const error = { kind: 'io', message: 'no answer' } as const;

/** A document that is there, and how it is read. */
interface Kept {
  readonly key: string;
  readonly read: () => Promise<unknown>;
}

async function writeRun(store: Store): Promise<Record<string, Kept>> {
  const request = planOf('/images', ['one'], {
    residents: [{ images: ['/images/one'], sites: ['a'], together: true }],
    platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    force: true,
    publish: true,
  });
  await putRequest(store, request);
  await putScope(store, 'run', 'scope', [image]);
  const stageProgress = { known: 1, work: { done: 1, left: 1 }, secondsLeft: 1 };
  await putHeartbeat(store, 'run', {
    isComplete: true,
    stages: { signature: stageProgress, pairing: stageProgress, delta: stageProgress },
  });
  const outcome = async (stage: Stage, status: Status, fields: object): Promise<Kept> => {
    await putOutcome(store, 'run', stage, status, { status, ...fields });
    return {
      key: `runs/run/outcomes/${stage}/${status}.${status}.json`,
      read: () => readOutcomes(store, 'run', stage, new Map([[status, status]])),
    };
  };
  const part: ReportPart = {
    images: [
      { reference: 'one', status: 'done', manifest: image.manifest },
      { reference: 'two', status: 'failed', error },
    ],
    pairs: [
      { target: 'one', source: 'two', candidate, status: 'skipped', patches: [patch] },
      { target: 'one', source: 'two', candidate, status: 'failed', error },
    ],
    passedOver: [{ target: 'one', source: 'two', candidate }],
  };
  async function* pieces(): AsyncGenerator<ReportPart> {
    yield part;
  }
  const counts = countStatuses(['done']);
  await putReport(store, 'run', pieces(), () => ({
    id: 'run',
    started: request.started,
    finished: request.started,
    stages: { signature: counts, pairing: counts, delta: counts },
    bytes: addBytes(sumBytes([patch]), sumBytes([])),
  }));
  const summary: RunSummary = (await findSummary(store, 'run'))!;
  return {
    request: { key: 'runs/run/run.json', read: () => findRequest(store, 'run') },
    scope: { key: 'runs/run/scopes/scope.json', read: () => loadScope(store, 'run', 'scope') },
    progress: { key: 'runs/run/heartbeat.json', read: () => findProgress(store, 'run') },
    'signature outcome': await outcome('signature', 'done', image),
    'signature failure': await outcome('signature', 'failed', { error, reference: 'one' }),
    'pairing outcome': await outcome('pairing', 'skipped', {
      target: image,
      scope: 'scope',
      pairs: [{ sources: [image], candidate }],
      passedOver: [{ sources: [image], candidate }],
    }),
    'pairing failure': await outcome('pairing', 'failed', { error, target: image, scope: 'scope' }),
    'delta outcome': await outcome('delta', 'done', { patches: [patch] }),
    'delta failure': await outcome('delta', 'failed', { error, ranking: 'b'.repeat(32) }),
    summary: { key: 'runs/run/report.json', read: () => findSummary(store, 'run') },
    part: {
      key: 'runs/run/report/000000.json',
      read: () => Array.fromAsync(readParts(store, summary)),
    },
  };
}

/** Paths of all values in a document, as errors name them. */
function pathsIn(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  return [path, ...entries.flatMap(([key, member]) => pathsIn(member, [...path, key]))].filter(
    ({ length }) => length > 0,
  );
}

function textOf(path: readonly (string | number)[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    .join('')
    .slice(1);
}

/** A copy in which the value at a path is replaced, or removed if there is no replacement. */
function damaged(document: unknown, path: readonly (string | number)[], replacement?: unknown): object {
  const copy = structuredClone(document) as Record<string | number, unknown>;
  const parent = path
    .slice(0, -1)
    .reduce<Record<string | number, unknown>>(
      (object, key) => object[key] as Record<string | number, unknown>,
      copy,
    );
  if (replacement === undefined) delete parent[path.at(-1)!];
  else parent[path.at(-1)!] = replacement;
  return copy;
}

/** Fields that a document need not have. */
const OPTIONAL =
  /(candidate|source)\.images$|(^|[.])(diffIDs|platform|sites|together|force|publish|encodeSeconds|progress|secondsLeft|pairs|ranking)$|descriptor\.(patch|signature)$|predictions\.[\w-]+$/;
/** Strings of a certain form, or of a list. */
const CHECKED = /(manifest|config|layers|digest|status|format|effort|kind|platform)$/;

const OTHERS = [null, 7, 'text', true, {}, []];

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

async function refusal(read: () => unknown): Promise<PanamaxError> {
  try {
    await read();
  } catch (refused) {
    assert.ok(refused instanceof PanamaxError, String(refused));
    assert.equal(refused.kind, 'bad-input');
    return refused;
  }
  throw new assert.AssertionError({ message: 'was accepted' });
}

describe('documents of a run', () => {
  test('are refused with the place if they are damaged anywhere', async (t) => {
    const directory = await openDirectoryStore(await temporaryDirectory(t));
    const changed = new Map<string, Buffer>();
    // Thousands of changes, which need not reach the disk.
    const store = { ...directory, get: async (key: string) => changed.get(key) ?? directory.get(key) };
    for (const [kind, { key, read }] of Object.entries(await writeRun(store))) {
      const bytes = unsealed((await store.get(key))!);
      const document: unknown = JSON.parse(bytes.toString());
      const refuses = async (document: Buffer | object | string | number | null, place: string) => {
        const text = Buffer.isBuffer(document) ? document : Buffer.from(JSON.stringify(document));
        changed.set(key, text);
        const { facts } = await refusal(read).catch((cause: unknown) => {
          throw new Error(`${kind} ${place}: ${text.toString()}`, { cause });
        });
        assert.equal(facts.where, `${store.where} ${key}${place && ` ${place}`}`, kind);
      };
      assert.ok(await read(), kind);
      for (const path of pathsIn(document)) {
        const place = textOf(path);
        const value = path.reduce<unknown>(
          (v, key) => (v as Record<string | number, unknown>)[key],
          document,
        );
        for (const other of OTHERS) {
          const isOther = typeOf(other) !== typeOf(value) || (other === 'text' && CHECKED.test(place));
          const isNullable = other === null && place.endsWith('tlshDistance');
          if (isOther && !isNullable) await refuses(damaged(document, path, other), place);
        }
        if (typeof path.at(-1) === 'string' && !OPTIONAL.test(place))
          await refuses(damaged(document, path), place);
      }
      for (const whole of [null, 7, 'text', []]) await refuses(whole, '');
      const [first] = Object.keys(document as object);
      await refuses({}, kind.includes('outcome') || kind.includes('failure') ? 'status' : first!);
      for (const broken of [bytes.subarray(0, -3), Buffer.from(''), Buffer.from([0x7b, 0xff, 0x7d])])
        await refuses(broken, '');
      changed.delete(key);
    }
  });

  test('are refused if they are of a later version; those of an earlier one are read', async (t) => {
    const store = await openDirectoryStore(await temporaryDirectory(t));
    const { key } = (await writeRun(store))['request']!;
    const text = unsealed((await store.get(key))!).toString();
    await store.put(key, Buffer.from(text.replace('"version":2', '"version":3')));
    const { facts } = await refusal(() => findRequest(store, 'run'));
    assert.deepEqual(facts, { expected: '(1 | 2)', found: '3', where: `${store.where} ${key} version` });
    await store.put(key, Buffer.from(text.replace('"version":2', '"version":1')));
    const earlier = await findRequest(store, 'run');
    assert.equal(earlier?.isEarlier, true);
    assert.deepEqual(earlier.targets, ['/images/one']);
  });
});

describe('jobs of a queue', () => {
  const head = { run: 'run', item: 'a'.repeat(32) };
  const jobs = {
    signature: { ...head, reference: 'one' },
    pairing: { ...head, target: image, scope: 'b'.repeat(16), together: true },
    delta: { ...head, ranking: 'c'.repeat(32) },
  };

  test('are refused with the place if a field is missing or wrong', async () => {
    for (const stage of ['signature', 'pairing', 'delta'] as const) {
      assert.deepEqual(parseItemJob(stage, jobs[stage], 'job'), jobs[stage]);
      for (const path of pathsIn(jobs[stage])) {
        const place = textOf(path);
        for (const other of [null, 7, {}, [], ...(place === 'together' ? [] : [undefined])]) {
          if (typeOf(other) === 'object' && place === 'target') continue;
          const changed = damaged(jobs[stage], path, other);
          const { facts } = await refusal(() => parseItemJob(stage, changed, 'job'));
          assert.equal(facts.where, `job ${place}`);
        }
      }
      for (const whole of [null, [], 'text', undefined]) {
        assert.equal((await refusal(() => parseItemJob(stage, whole, 'job'))).facts.where, 'job');
      }
    }
  });

  test('are refused if a name would leave the run', async () => {
    for (const run of ['', '../other', 'a/b', '.', 'a'.repeat(65)]) {
      const { facts } = await refusal(() => parseItemJob('delta', { ...head, run }, 'job'));
      assert.equal(facts.where, 'job run');
      assert.equal((await refusal(() => parseRunJob({ run, name: 'x' }, 'job'))).facts.where, 'job run');
    }
    for (const item of ['', '..', 'a'.repeat(31), 'A'.repeat(32)])
      assert.equal(
        (await refusal(() => parseItemJob('delta', { ...head, item }, 'job'))).facts.where,
        'job item',
      );
    assert.equal(
      (await refusal(() => parseRunJob({ run: 'run', name: 'a.b' }, 'job'))).facts.where,
      'job name',
    );
  });
});

describe('inventories', () => {
  test('are refused with the site whose images are damaged', async () => {
    const cases: [text: string, where: string][] = [
      ['', 'inventory'],
      ['sites:', 'inventory sites'],
      ['sites: []', 'inventory sites'],
      ['sites: {a: b}', 'inventory sites.a'],
      ['sites: {a: [x], b: [x, 1]}', 'inventory sites.b [1]'],
      ['sites: {constructor: [""]}', 'inventory sites.constructor [0]'],
    ];
    for (const [text, where] of cases)
      assert.equal((await refusal(() => parseInventory(text, 'inventory'))).facts.where, where, text);
  });
});
