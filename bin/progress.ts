import { STAGES, type Stage } from '../lib/run/stage.ts';
import type { RunStatus } from '../lib/run/status.ts';
import type { OnProgress } from '../producers/backfill.ts';

const BAR_WIDTH = 24;

/**
 * Shows the progress of a backfill on standard error: a bar per stage on a terminal, a line per finished item elsewhere.
 */
export function createProgress(stream: NodeJS.WriteStream = process.stderr): OnProgress {
  const done = new Map<Stage, number>();
  return (stage, { total, item, status }) => {
    const count = (done.get(stage) ?? 0) + (item === undefined ? 0 : 1);
    done.set(stage, count);
    if (total === 0) return;
    if (!stream.isTTY) {
      if (item !== undefined) stream.write(`${stage} ${count}/${total} ${status} ${item}\n`);
      return;
    }
    const filled = Math.round((BAR_WIDTH * count) / total);
    const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
    const line = `${stage.padEnd(9)} ${bar} ${count}/${total} ${item ?? ''}`;
    stream.write(`\r\x1b[K${line.slice(0, (stream.columns || 80) - 1)}${count === total ? '\n' : ''}`);
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
