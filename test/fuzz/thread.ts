/** The thread that runs one target: the supervisor ends it when an input takes too long. */
import { AssertionError } from 'node:assert';
import { parentPort, workerData } from 'node:worker_threads';
import { PanamaxError } from '../../lib/errors.ts';
import { createRandom } from '../support/random.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { startCoverage } from './coverage.ts';
import { mutate } from './mutate.ts';
import { openBoard } from './board.ts';
import type { FuzzTarget, OpenTarget } from './target.ts';

export interface FuzzTask {
  readonly target: string;
  readonly seconds: number;
  readonly seed: number;
  /** Runs this input alone. */
  readonly input?: Uint8Array;
  /** The last input, shared with the supervisor. */
  readonly board: SharedArrayBuffer;
}

export interface FuzzResult {
  readonly executions: number;
  readonly refused: number;
  readonly corpus: number;
  readonly functions: number;
  readonly find?: { readonly input: Uint8Array; readonly reason: string };
}

const BATCH_TIME = 100;
const MAX_BATCH = 512;
/** Changed inputs of the shortest run. */
const LEAST_INPUTS = 6;

/** Executions so far, those included that look for new code. */
let executions = 0;
/** The error of the last input that was refused. */
let refusal: PanamaxError | undefined;

const task = workerData as FuzzTask;
const board = openBoard(task.board);
const actions: (() => Promise<void>)[] = [];
const scope: Scope = { after: (action) => void actions.push(action) };
atEnd(scope, () => undefined);

const { open } = (await import(`./targets/${task.target}.ts`)) as { open: OpenTarget };
const target = await open(scope);
const result = task.input ? await once(target, Buffer.from(task.input)) : await fuzz(target);
for (const action of actions) await action();
parentPort!.postMessage(result);

async function once(target: FuzzTarget, input: Buffer): Promise<FuzzResult> {
  const outcome = await execute(target, input);
  const isRefused = outcome === 'refused';
  const found = { executions: 1, refused: Number(isRefused), corpus: 0, functions: 0 };
  return outcome === 'read' || isRefused ? found : { ...found, find: { input, reason: outcome } };
}

async function fuzz(target: FuzzTarget): Promise<FuzzResult> {
  const random = createRandom(task.seed);
  const corpus: Buffer[] = target.seeds.map((seed) => Buffer.from(seed));
  const until = Date.now() + task.seconds * 1000;
  let inputs = 0;
  const goesOn = () => inputs < LEAST_INPUTS || Date.now() < until;
  let refused = 0;
  using coverage = startCoverage();
  const summary = () => ({ executions, refused, corpus: corpus.length, functions: coverage.functions });

  async function run(input: Buffer): Promise<string | undefined> {
    const outcome = await execute(target, input);
    if (outcome === 'refused') refused++;
    return outcome === 'read' || outcome === 'refused' ? undefined : outcome;
  }

  for (const input of corpus) {
    const outcome = await execute(target, input);
    if (outcome !== 'read') return { ...summary(), find: { input, reason: `seed: ${textOf(refusal)}` } };
  }
  coverage.take({ isKept: true });
  for (let size = 8; goesOn();) {
    const batch: Buffer[] = [];
    const started = Date.now();
    while (batch.length < size && goesOn()) {
      const input = nextInput(target, corpus, random);
      inputs++;
      batch.push(input);
      const reason = await run(input);
      if (reason) return { ...summary(), find: { input, reason } };
    }
    const isSlow = Date.now() - started > BATCH_TIME;
    if (coverage.take({ isKept: false })) {
      await keepNew(batch);
      size = Math.max(4, size >> 1);
    } else if (!isSlow) size = Math.min(MAX_BATCH, size * 2);
  }
  return summary();

  /** Runs a batch again in halves, until the inputs are found that reach new code. */
  async function keepNew(batch: readonly Buffer[]): Promise<void> {
    const half = batch.length >> 1;
    for (const part of [batch.slice(0, half), batch.slice(half)]) {
      for (const input of part) await execute(target, input);
      if (part.length > 1) {
        if (coverage.take({ isKept: false })) await keepNew(part);
      } else if (part.length === 1 && coverage.take({ isKept: true })) corpus.push(part[0]!);
    }
  }
}

function nextInput(
  target: FuzzTarget,
  corpus: readonly Buffer[],
  random: ReturnType<typeof createRandom>,
): Buffer {
  // later inputs reach deeper
  const at =
    random.below(2) === 0
      ? corpus.length - 1 - random.below(Math.min(corpus.length, 8))
      : random.below(corpus.length);
  const chosen = corpus[at]!;
  const head = random.below(8) === 0 ? 0 : (target.head?.(chosen) ?? 0);
  const changed = mutate(chosen.subarray(head), corpus, target.words ?? [], random);
  const input = Buffer.concat([chosen.subarray(0, head), changed]);
  return target.repair && random.below(2) === 0 ? target.repair(input) : input;
}

/** `read`, `refused`, or the reason why the outcome is a find. */
async function execute(target: FuzzTarget, input: Buffer): Promise<string> {
  board.begin(input);
  executions++;
  try {
    await target.run(input);
    return 'read';
  } catch (error) {
    if (!(error instanceof PanamaxError) || error instanceof AssertionError) return textOf(error);
    if (!target.kinds.includes(error.kind)) return `kind ${error.kind}: ${textOf(error)}`;
    // of an argument, the value found is its place
    const { where = error.kind === 'usage' ? error.facts.found : undefined } = error.facts;
    if (where === undefined && !target.isInner) return `no place: ${textOf(error)}`;
    refusal = error;
    return 'refused';
  } finally {
    board.end();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
