/**
 * Plans and reports a run of many images whose stages have done nothing, as a coordinator does, and prints its memory and
 * its requests to the store as JSON. Three pairs for each image. A process of its own: `bench/scale.ts` starts it.
 */
import { digestOf, type Digest } from '../lib/digest.ts';
import { scopeOf } from '../lib/pairing/ranking.ts';
import { items, type RunRequest } from '../lib/run/request.ts';
import { findRequest, putRequest } from '../lib/run/record.ts';
import { STAGES, type Stage } from '../lib/run/stage.ts';
import { sealDocument } from '../lib/sealed.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { writeReport } from '../workers/report.ts';
import { createRunPlan } from '../workers/runplan.ts';
import { makeCandidate } from '../test/support/candidate.ts';

export interface ManyImages {
  readonly images: number;
  readonly pairs: number;
  readonly seconds: number;
  readonly peakBytes: number;
  readonly requestsPerPair: number;
}

const SOURCES = 100;
const PAIRS = 3;
/** Keys in a page of a listing. */
const PAGE = 1000;

const referenceOf = (i: number) => `oci:/images/of/a/registry/application-${i}:1.0.${i % SOURCES}`;
const imageOf = (i: number) => ({ manifest: digestOf(referenceOf(i)), reference: referenceOf(i) });
const manifestOf = (i: number): Digest => imageOf(i).manifest;
/** The images that a target is paired with: sources, but not itself. */
const sourceOf = (target: number, pair: number) => {
  const first = (target * 7) % SOURCES;
  return [0, 1, 2, 3].map((n) => (first + n) % SOURCES).filter((source) => source !== target)[pair]!;
};

/** Items in bytewise order, with the number that each was made from. */
function createListing(count: number, itemOf: (i: number) => string) {
  const names = Buffer.alloc(16 * count);
  for (let i = 0; i < count; i++) names.write(itemOf(i), 16 * i, 'hex');
  const at = (i: number) => names.readUInt32BE(16 * i);
  const compare = (a: number, b: number) =>
    at(a) - at(b) || names.compare(names, 16 * b, 16 * b + 16, 16 * a, 16 * a + 16);
  const order = new Uint32Array(count).map((_, i) => i).sort(compare);
  const name = (place: number) => names.toString('hex', 16 * order[place]!, 16 * order[place]! + 16);
  return {
    *names() {
      for (let place = 0; place < count; place++) yield name(place);
    },
    numberOf(item: string): number {
      let [low, high] = [0, count - 1];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (name(middle) < item) low = middle + 1;
        else high = middle;
      }
      return order[low]!;
    },
  };
}

/** A store that makes each document when it is read, and counts puts without keeping them. */
function makeRunStore(count: number) {
  const scope = scopeOf(Array.from({ length: SOURCES }, (_, i) => imageOf(i).manifest));
  const listings = {
    signature: createListing(count, (i) => items.signature(referenceOf(i))),
    pairing: createListing(count, (i) => items.pairing(manifestOf(i), scope)),
    delta: createListing(PAIRS * count, (i) => {
      const target = Math.floor(i / PAIRS);
      return items.delta(manifestOf(target), manifestOf(sourceOf(target, i % PAIRS)));
    }),
  };
  const finished = new Date().toISOString();
  const documents: Readonly<Record<Stage, (i: number) => object>> = {
    signature: (i) => ({ status: 'done', ...imageOf(i), size: 1e8, finished }),
    pairing(i) {
      const pairs = Array.from({ length: PAIRS }, (_, pair) => {
        const source = imageOf(sourceOf(i, pair));
        return { sources: [source], candidate: makeCandidate(source.manifest, { changedBytes: 1e8 }) };
      });
      return { status: 'done', target: imageOf(i), scope, pairs, passedOver: [], finished };
    },
    delta: () => ({ status: 'done', patches: [], finished }),
  };
  const over = new Set<Stage>();
  const kept = new Map<string, Uint8Array>();
  let requests = 0;
  const store: Store = {
    name: 'run',
    where: 'run',
    async get(key) {
      requests++;
      const [, , , stage, name] = key.split('/') as [string, string, string, Stage, string | undefined];
      if (name === undefined) return kept.get(key) as Buffer | undefined;
      return sealDocument(documents[stage](listings[stage].numberOf(name.split('.')[0]!)));
    },
    async put(key, bytes) {
      requests++;
      if (/\/run(\.json|\/\d+\.json)$/.test(key)) kept.set(key, bytes);
    },
    async *list(prefix) {
      const stage = prefix.split('/')[3] as Stage;
      requests++;
      if (!over.has(stage)) return;
      let n = 0;
      for (const name of listings[stage].names()) {
        if (++n % PAGE === 0) requests++;
        yield `${prefix}${name}.done.json`;
      }
    },
    stat: async () => undefined,
    remove: async () => {},
    putFile: () => Promise.reject(new Error('not used')),
    open: () => Promise.reject(new Error('not used')),
  };
  return { store, over, requests: () => requests };
}

async function main(count: number): Promise<void> {
  const { store, over, requests } = makeRunStore(count);
  const images = Array.from({ length: count }, (_, i) => referenceOf(i));
  const request: RunRequest = {
    id: 'run',
    started: new Date().toISOString(),
    targets: images,
    residents: [{ images: images.slice(0, SOURCES) }],
    top: PAIRS,
    formats: ['xdelta'],
    effort: 'default',
  };
  await putRequest(store, request);
  images.length = 0;
  const before = process.cpuUsage();
  const plan = createRunPlan((await findRequest(store, 'run'))!, store);
  for (const stage of STAGES) {
    over.add(stage);
    await plan.update();
  }
  await writeReport(plan, store);
  const { user, system } = process.cpuUsage(before);
  const counts = plan.counts('delta');
  if (counts.done !== PAIRS * count) throw new Error(`expected ${PAIRS * count} pairs, found ${counts.done}`);
  const measured: ManyImages = {
    images: count,
    pairs: counts.done,
    seconds: (user + system) / 1e6,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    requestsPerPair: requests() / counts.done,
  };
  process.stdout.write(`${JSON.stringify(measured)}\n`);
}

await main(Number(process.argv[2]));
