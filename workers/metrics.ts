import { setTimeout as delay } from 'node:timers/promises';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { PatchOutcome } from '../lib/run/schemas.ts';
import type { CacheStats } from './resources/layercache.ts';
import type { Stage } from '../lib/run/stage.ts';

/** Result of one attempt at an item. */
export interface Attempt {
  readonly stage: Stage;
  readonly status: string;
  readonly seconds: number;
  readonly kind?: string;
  readonly outcome?: object;
}

/** Figures that are read when the metrics are scraped. */
export interface MetricSources {
  readonly counts: () => Promise<Record<string, Record<string, number>>>;
  readonly scratch: Readonly<CacheStats>;
}

export interface Metrics {
  readonly contentType: string;
  onAttempt(attempt: Attempt): void;
  /** The metrics in the text format of Prometheus. Queue depths are omitted if Redis does not answer. */
  text(sources: MetricSources | undefined): Promise<string>;
}

/** Seconds. Attempts take minutes, skipped ones fractions of a second. */
const BUCKETS = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800];

/** In milliseconds. */
const COUNTS_TIMEOUT = 1500;

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Counter({ name: `panamax_${name}`, help, labelNames, registers });
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Gauge({ name: `panamax_${name}`, help, labelNames, registers });

  const attempts = counter('attempts_total', 'Attempts at jobs, by what came of them', ['stage', 'status']);
  const failures = counter('failures_total', 'Attempts that failed, by reason', ['stage', 'kind']);
  const durations = new Histogram({
    name: 'panamax_attempt_seconds',
    help: 'What attempts took',
    labelNames: ['stage', 'status'],
    buckets: BUCKETS,
    registers,
  });
  const written = counter('patch_bytes_written_total', 'Bytes of the patches that were published', [
    'format',
  ]);
  const saved = counter('pull_bytes_saved_total', 'Bytes that pulls would move more than the patches', [
    'format',
  ]);
  const read = gauge(
    'layer_bytes_read',
    'Bytes of layers unpacked since the start, for signatures and for patches',
  );
  const scratch = gauge('scratch_bytes', 'Bytes on scratch or promised there');
  const shared = gauge('scratch_layers', 'Layers that jobs asked for since the start', ['result']);
  const depth = gauge('queue_jobs', 'Jobs in the queues of all workers', ['queue', 'state']);

  return {
    contentType: registry.contentType,
    onAttempt({ stage, status, seconds, kind, outcome }) {
      attempts.inc({ stage, status });
      durations.observe({ stage, status }, seconds);
      if (kind) failures.inc({ stage, kind });
      for (const patch of stage === 'delta' && status === 'done' ? patchesOf(outcome) : []) {
        const { format, patch: published, sizes } = patch.descriptor;
        if (!published || patch.encodeSeconds === undefined) continue;
        written.inc({ format }, published.size);
        saved.inc({ format }, sizes.pull - published.size);
      }
    },
    async text(sources) {
      depth.reset();
      if (sources) {
        const { hits, misses, bytes, bytesRead } = sources.scratch;
        read.set(bytesRead);
        scratch.set(bytes);
        shared.set({ result: 'hit' }, hits);
        shared.set({ result: 'miss' }, misses);
        for (const [queue, states] of Object.entries(await countsOf(sources))) {
          for (const [state, jobs] of Object.entries(states)) depth.set({ queue, state }, jobs);
        }
      }
      return registry.metrics();
    },
  };
}

async function countsOf({ counts }: MetricSources): Promise<Record<string, Record<string, number>>> {
  // a client of Redis waits for a lost server
  const late = delay(COUNTS_TIMEOUT, {}, { ref: false });
  return Promise.race([counts().catch(() => ({})), late]);
}

function patchesOf(outcome: object = {}): readonly PatchOutcome[] {
  return 'patches' in outcome ? (outcome.patches as readonly PatchOutcome[]) : [];
}
