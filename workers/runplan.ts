import { hexOf, parseDigest, type Digest } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import { scopeOf } from '../lib/pairing/ranking.ts';
import { createItemTable, type ItemTable } from '../lib/run/itemtable.ts';
import { readOutcomes, walkOutcomes, type OutcomeOf } from '../lib/run/outcome.ts';
import { putScope } from '../lib/run/record.ts';
import type { Counts } from '../lib/run/report.ts';
import { imagesOf, items, type RunRequest } from '../lib/run/request.ts';
import type { Candidate, NamedImage } from '../lib/run/schemas.ts';
import type { Stage, Status } from '../lib/run/stage.ts';
import { bytesColumn, numbersColumn, wordsColumn } from '../lib/runtime/column.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { DeltaJob, PairingJob, SignatureJob, StageJob } from './jobs.ts';

/**
 * The items of a run, as far as they follow from its record in the store, and their states. It grows with the record:
 * each update reads only the outcomes that are new. An image takes about 250 bytes, a ranking 40 and a pair 50.
 */
export interface RunPlan {
  readonly request: RunRequest;
  /** Reads the outcomes that are new in the store. @throws PanamaxError `limit` for more items than memory is for, `bad-input`, `io` */
  update(): Promise<void>;
  /** Whether all rankings of the run are known. */
  readonly isComplete: boolean;
  counts(stage: Stage): Counts;
  /** Work of the items of a stage that were done, and of those that are left: bytes, or rankings. */
  work(stage: Stage): Work;
  /** Jobs of the items of a stage that are not over, or all. */
  jobs<S extends Stage>(stage: S, isAll?: boolean): Generator<StageJob[S], void, void>;
  /** Jobs of the rankings that are not over and were not asked for before. */
  newRankings(): Generator<PairingJob, void, void>;
  /** Manifests of the images that were read, by reference. */
  readonly images: { get(reference: string): Digest | undefined };
  statusOf(stage: Stage, item: string): Status | undefined;
  /** The rankings of each target, in the order of the request; the rankings of a target stay together. */
  rankingsByTarget(atLeast: number): Generator<readonly string[], void, void>;
  /** Whether this ranking is the first of those that chose the pair. */
  isFirstOf(ranking: string, pair: string): boolean;
}

export interface Work {
  readonly done: number;
  readonly left: number;
}

/** Outcomes that are in memory at a time. */
const CHUNK = 500;
const DIGEST_SIZE = 32;
/** Memory of a string and its place in an array, beside its characters. */
const STRING_SIZE = 32;
/** Memory that a plan may take by default, in bytes. */
const MOST_MEMORY = 768 * 1024 ** 2;

/** A set of the request, with its images as rows. */
interface PlannedSet {
  readonly members: Uint32Array;
  /** Undefined until all of its images are over. */
  scope: number | undefined;
}

interface Scope {
  readonly name: string;
  readonly together: boolean;
}

/** Work of a pair: the bytes of the target's files. */
export function workOf({ identicalBytes, changedBytes, newBytes }: Candidate): number {
  return identicalBytes + changedBytes + newBytes;
}

const isSuccess = (status: Status | undefined) => status === 'done' || status === 'skipped';

export interface PlanOptions {
  /** Bytes that the plan may take at most. */
  readonly memory?: number;
  /** Whether the sets of images are left to another process to write. */
  readonly isReadOnly?: boolean;
}

export function createRunPlan(request: RunRequest, store: Store, options: PlanOptions = {}): RunPlan {
  const { memory = MOST_MEMORY, isReadOnly = false } = options;
  const { id: run, platform } = request;
  const most = Math.min(memory, MOST_MEMORY);
  /** Targets come first, in the order of the request. */
  const references = imagesOf(request);
  const signatures = createItemTable();
  for (const reference of references) signatures.add(items.signature(reference, platform));
  const targetCount = new Set(request.targets).size;
  const manifests = Buffer.alloc(references.length * DIGEST_SIZE);
  const sizes = new Float64Array(references.length);
  const isRead = new Uint8Array(references.length);
  const textSize = references.reduce((sum, { length }) => sum + length + STRING_SIZE, 0);
  const rowOf = (reference: string) => signatures.find(items.signature(reference, platform))!;
  const memberRows = request.residents.map(({ images }) => Uint32Array.from(images, rowOf));
  let plan = createTables();

  function createTables() {
    return {
      rankings: createItemTable(),
      /** Of each ranking: the row of its target, its scope, and whether its pairs are in `pairs`. */
      targets: wordsColumn(),
      scopes: wordsColumn(),
      areRead: bytesColumn(),
      pairs: createItemTable(),
      /** Of each pair: the row of the first ranking that chose it, and the bytes of its target. */
      choosers: wordsColumn(),
      pairSizes: numbersColumn(),
      sets: memberRows.map((members): PlannedSet => ({ members, scope: undefined })),
      known: [] as Scope[],
      /** By row: whether the target is in the rankings. */
      isPlanned: new Uint8Array(targetCount),
      /** Number of rankings whose jobs were asked for. */
      offered: 0,
      isComplete: false,
    };
  }

  const tableOf = (stage: Stage): ItemTable =>
    ({ signature: signatures, pairing: plan.rankings, delta: plan.pairs })[stage];
  const manifestAt = (row: number): Digest =>
    parseDigest(`sha256:${manifests.toString('hex', row * DIGEST_SIZE, (row + 1) * DIGEST_SIZE)}`, 'plan');
  const namedAt = (row: number): NamedImage => ({ manifest: manifestAt(row), reference: references[row]! });

  /** @returns whether an item that was over is tried again */
  async function readStatuses(stage: Stage): Promise<boolean> {
    const table = tableOf(stage);
    const { total, done, skipped } = table.counts();
    // a success stays
    return total > done + skipped && (await table.setStatuses(walkOutcomes(store, run, stage)));
  }

  /** Reads the outcomes of rows, some at a time. */
  async function readEach<S extends Stage>(
    stage: S,
    rows: readonly number[],
    take: (row: number, outcome: OutcomeOf<S>) => void,
  ): Promise<void> {
    const table = tableOf(stage);
    for (let at = 0; at < rows.length; at += CHUNK) {
      const wanted = new Map(
        rows.slice(at, at + CHUNK).map((row) => [table.itemAt(row), table.statusAt(row)!]),
      );
      for (const [item, outcome] of await readOutcomes(store, run, stage, wanted))
        take(table.find(item)!, outcome);
    }
  }

  async function readImages(): Promise<void> {
    // a set may have other images now
    if (await readStatuses('signature')) plan = createTables();
    const news = signatures.rowsWhere((row, status) => isSuccess(status) && isRead[row] === 0);
    await readEach('signature', news, (row, outcome) => {
      if (outcome.status === 'failed') return;
      manifests.write(hexOf(outcome.manifest), row * DIGEST_SIZE, 'hex');
      sizes[row] = outcome.size ?? 0;
      isRead[row] = 1;
    });
  }

  const isReadable = (row: number) => isSuccess(signatures.statusAt(row)) && isRead[row] === 1;
  const isOver = (row: number) => signatures.statusAt(row) === 'failed' || isReadable(row);

  async function planRankings(): Promise<void> {
    if (plan.isComplete) return;
    const { sets, isPlanned } = plan;
    const targets = signatures.rowsWhere((row) => row < targetCount && isReadable(row));
    const news = targets.filter((row) => isPlanned[row] === 0);
    for (const [i, set] of sets.entries()) {
      if (set.scope !== undefined) addRankings(set, i, news);
      else if (set.members.every(isOver)) {
        await openScope(set, i);
        addRankings(set, i, targets);
      }
    }
    for (const row of news) isPlanned[row] = 1;
    plan.isComplete = signatures.rowsWhere((row) => !isOver(row)).length === 0;
  }

  /** The images of a set that were read, each once. */
  function membersOf({ members }: PlannedSet): Map<Digest, NamedImage> {
    const found = new Map<Digest, NamedImage>();
    for (const row of members) {
      if (!isReadable(row)) continue;
      const image = namedAt(row);
      if (!found.has(image.manifest)) found.set(image.manifest, image);
    }
    return found;
  }

  async function openScope(set: PlannedSet, index: number): Promise<void> {
    const { sites, together: isTogether } = request.residents[index]!;
    const members = membersOf(set);
    const together = (isTogether === true || sites !== undefined) && members.size > 1;
    const name = scopeOf([...members.keys()], together);
    let known = plan.known.findIndex((scope) => scope.name === name);
    if (known < 0) {
      known = plan.known.push({ name, together }) - 1;
      if (members.size > 0 && !isReadOnly) await putScope(store, run, name, [...members.values()]);
    }
    set.scope = known;
  }

  function addRankings(set: PlannedSet, index: number, rows: readonly number[]): void {
    if (rows.length === 0) return;
    const { sites } = request.residents[index]!;
    const held = new Set(membersOf(set).keys());
    const { name } = plan.known[set.scope!]!;
    for (const row of rows) {
      const manifest = manifestAt(row);
      const isHeld = held.has(manifest);
      if (held.size === (isHeld ? 1 : 0) || (sites && isHeld)) continue;
      const size = plan.rankings.size;
      if (plan.rankings.add(items.pairing(manifest, name)) < size) continue;
      plan.targets.push(row);
      plan.scopes.push(set.scope!);
      plan.areRead.push(0);
      if (plan.rankings.size % CHUNK === 0) checkMemory();
    }
  }

  async function readRankings(): Promise<void> {
    await readStatuses('pairing');
    const areRead = plan.areRead.view();
    const news = plan.rankings.rowsWhere((row, status) => isSuccess(status) && areRead[row] === 0);
    await readEach('pairing', news, (row, outcome) => {
      areRead[row] = 1;
      if (outcome.status === 'failed') return;
      for (const { candidate } of outcome.pairs) {
        const size = plan.pairs.size;
        if (plan.pairs.add(items.delta(outcome.target.manifest, candidate.source)) < size) continue;
        plan.choosers.push(row);
        plan.pairSizes.push(workOf(candidate));
        if (plan.pairs.size % CHUNK === 0) checkMemory();
      }
    });
  }

  function checkMemory(): void {
    const { rankings, pairs, targets, scopes, choosers, pairSizes } = plan;
    const columns = [targets, scopes, choosers, pairSizes];
    const bytes =
      textSize +
      manifests.length +
      [signatures, rankings, pairs].reduce((sum, table) => sum + table.bytes, 0) +
      columns.reduce((sum, column) => sum + column.view().byteLength, 0);
    if (bytes <= most) return;
    throw new PanamaxError('limit', 'the run has more items than the memory of its coordinator takes', {
      expected: `at most ${most} bytes: fewer images, or a larger --memory`,
      found: bytes,
      where: `run ${run}`,
    });
  }

  const jobAt: { readonly [S in Stage]: (row: number) => StageJob[S] } = {
    signature: (row): SignatureJob => ({ run, item: signatures.itemAt(row), reference: references[row]! }),
    pairing(row): PairingJob {
      const { name, together } = plan.known[plan.scopes.view()[row]!]!;
      const target = namedAt(plan.targets.view()[row]!);
      return { run, item: plan.rankings.itemAt(row), target, scope: name, ...(together && { together }) };
    },
    delta: (row): DeltaJob => ({
      run,
      item: plan.pairs.itemAt(row),
      ranking: plan.rankings.itemAt(plan.choosers.view()[row]!),
    }),
  };

  const workAt: Readonly<Record<Stage, (row: number) => number>> = {
    signature: (row) => sizes[row]!,
    pairing: () => 1,
    delta: (row) => plan.pairSizes.view()[row]!,
  };

  return {
    request,
    async update() {
      checkMemory();
      await readImages();
      await planRankings();
      await readRankings();
      await readStatuses('delta');
    },
    get isComplete() {
      return plan.isComplete;
    },
    counts: (stage) => tableOf(stage).counts(),
    work(stage) {
      const table = tableOf(stage);
      let [done, left, count, unknown] = [0, 0, 0, 0];
      for (let row = 0; row < table.size; row++) {
        const status = table.statusAt(row);
        const work = workAt[stage](row);
        if (status === undefined && stage === 'signature') unknown++;
        else if (status === undefined) left += work;
        else if (status === 'done') [done, count] = [done + work, count + 1];
      }
      // the size of an image is known when it has been read
      return { done, left: left + (count > 0 ? (unknown * done) / count : 0) };
    },
    *jobs(stage, isAll = false) {
      const table = tableOf(stage);
      for (let row = 0; row < table.size; row++)
        if (isAll || table.statusAt(row) === undefined) yield jobAt[stage](row);
    },
    *newRankings() {
      while (plan.offered < plan.rankings.size) {
        const row = plan.offered++;
        if (plan.rankings.statusAt(row) === undefined) yield jobAt.pairing(row);
      }
    },
    images: {
      get(reference) {
        const row = signatures.find(items.signature(reference, platform));
        return row !== undefined && isReadable(row) ? manifestAt(row) : undefined;
      },
    },
    statusOf(stage, item) {
      const table = tableOf(stage);
      const row = table.find(item);
      return row === undefined ? undefined : table.statusAt(row);
    },
    *rankingsByTarget(atLeast) {
      const targets = plan.targets.view();
      const order = new Uint32Array(plan.rankings.size).map((_, row) => row);
      order.sort((a, b) => targets[a]! - targets[b]! || a - b);
      let group: string[] = [];
      let last = -1;
      for (const row of order) {
        if (targets[row] !== last && group.length >= atLeast) {
          yield group;
          group = [];
        }
        group.push(plan.rankings.itemAt(row));
        last = targets[row]!;
      }
      if (group.length > 0) yield group;
    },
    isFirstOf: (ranking, pair) =>
      plan.choosers.view()[plan.pairs.find(pair) ?? -1] === plan.rankings.find(ranking),
  };
}
