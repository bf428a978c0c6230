import { PanamaxError } from '../lib/errors.ts';
import { STAGES, type Stage } from '../lib/run/stage.ts';
import type { RunStatus } from '../lib/run/status.ts';
import type { ItemProgress, OnProgress } from '../producers/backfill.ts';
import type { Arguments, Options } from './command.ts';
import { formatSize } from './format.ts';

const MODES = ['auto', 'plain', 'json'];
export type ProgressMode = 'quiet' | 'bar' | 'plain' | 'json';

export const PROGRESS_OPTIONS: Options = {
  progress: {
    type: 'string',
    value: 'MODE',
    default: 'auto',
    choices: MODES,
    env: true,
    help: 'progress on standard error: plain, a line per item; json, a document per item; auto, a bar on a terminal',
  },
  quiet: { type: 'boolean', short: 'q', help: 'no progress' },
};

/** @throws PanamaxError `usage` */
export function progressMode(
  args: Arguments,
  { isTTY }: { readonly isTTY?: boolean } = process.stderr,
): ProgressMode {
  const text = args.text('progress') ?? 'auto';
  if (!MODES.includes(text)) {
    throw new PanamaxError('usage', '--progress', { expected: MODES.join(', '), found: text });
  }
  if (args.flag('quiet')) return 'quiet';
  if (text === 'plain' || text === 'json') return text;
  return isTTY && process.env['TERM'] !== 'dumb' ? 'bar' : 'plain';
}

const BAR_WIDTH = 16;
/** In milliseconds. */
const STEP_INTERVAL = 1000;

/** A stage as far as it has come. */
interface Reached {
  readonly running: Set<string>;
  done: number;
}

/** Shows the progress of a backfill. */
export function createProgress(
  mode: ProgressMode,
  stream: Pick<NodeJS.WriteStream, 'write' | 'columns'> = process.stderr,
): OnProgress {
  const stages = new Map<Stage, Reached>();
  let savedBytes = 0;
  return (stage, progress) => {
    const { total, item, status, saved = 0, secondsLeft } = progress;
    const reached = stages.get(stage) ?? { running: new Set(), done: 0 };
    stages.set(stage, reached);
    if (item === undefined || total === 0 || mode === 'quiet') return;
    const isStart = status === 'started';
    if (isStart) reached.running.add(item);
    else {
      reached.running.delete(item);
      reached.done++;
      savedBytes += saved;
    }
    if (mode === 'bar') stream.write(barOf(stage, progress, reached, savedBytes, stream.columns || 80));
    else if (mode === 'json') {
      stream.write(
        `${JSON.stringify({ version: 1, stage, total, done: reached.done, item, status, savedBytes, secondsLeft })}\n`,
      );
    } else if (!isStart) stream.write(`${stage} ${reached.done}/${total} ${status} ${item}\n`);
  };
}

function barOf(
  stage: Stage,
  { total, secondsLeft }: ItemProgress,
  { running, done }: Reached,
  saved: number,
  columns: number,
): string {
  const filled = Math.round((BAR_WIDTH * done) / total);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
  const left = secondsLeft === undefined ? '' : `, ${formatDuration(secondsLeft)} left`;
  const savings = saved > 0 ? `, ${formatSize(saved)} saved` : '';
  const now = running.size > 0 ? `: ${[...running].join(', ')}` : '';
  const line = `${stage.padEnd(9)} ${bar} ${done}/${total}${left}${savings}${now}`;
  return `\r\x1b[K${line.slice(0, columns - 1)}${done === total ? '\n' : ''}`;
}

function formatDuration(seconds: number): string {
  return seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

/**
 * Shows the steps of a command whose bytes are not known beforehand: a line per step, on a terminal with the seconds
 * since its start.
 *
 * @returns to be called with each step, at the end without one
 */
export function createSteps(
  mode: ProgressMode,
  stream: Pick<NodeJS.WriteStream, 'write' | 'columns'> = process.stderr,
): (step?: string) => void {
  let timer: NodeJS.Timeout | undefined;
  return (step) => {
    clearInterval(timer);
    if (mode === 'quiet') return;
    if (step === undefined) {
      if (mode === 'bar') stream.write('\r\x1b[K');
      return;
    }
    if (mode === 'json') stream.write(`${JSON.stringify({ version: 1, step })}\n`);
    else if (mode === 'plain') stream.write(`${step}\n`);
    else {
      const started = performance.now();
      const show = () => {
        const line = `${step}: ${Math.floor((performance.now() - started) / 1000)} s`;
        stream.write(`\r\x1b[K${line.slice(0, (stream.columns || 80) - 1)}`);
      };
      show();
      timer = setInterval(show, STEP_INTERVAL).unref();
    }
  };
}

/** Shows the progress of a run in the queue: a line whenever a count changes. */
export function createRunProgress(stream: NodeJS.WriteStream = process.stderr): (status: RunStatus) => void {
  let last = '';
  return ({ stages, secondsLeft }) => {
    const counts = STAGES.map((stage) => {
      const { total, done, skipped, failed } = stages[stage];
      return `${stage} ${done + skipped + failed}/${total ?? '-'}${failed ? ` (${failed} failed)` : ''}`;
    });
    const line = counts.join('  ');
    if (line === last) return;
    last = line;
    const left = secondsLeft === undefined ? '' : `  about ${secondsLeft} s left`;
    stream.write(stream.isTTY ? `\r\x1b[K${line}${left}` : `${line}${left}\n`);
  };
}
