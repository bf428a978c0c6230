import { formatSize } from './format.ts';
import type { ProgressMode } from './progress.ts';

/** Shows how many bytes of a known number are done. */
export interface Meter {
  add(count: number): void;
  /** Ends the line on a terminal. */
  end(): void;
}

/** Between two lines, in milliseconds. */
const INTERVAL = 200;
const BAR_WIDTH = 16;

/**
 * A line that is written again on a terminal, documents with `json`, nothing in logs.
 *
 * @param label tells the work, such as `rebuild`
 * @param total in bytes
 */
export function createMeter(
  label: string,
  total: number,
  mode: ProgressMode,
  stream: Pick<NodeJS.WriteStream, 'write' | 'columns'> = process.stderr,
): Meter {
  const started = performance.now();
  let done = 0;
  let shown = started;
  let isOver = false;
  const show = () => {
    const seconds = (performance.now() - started) / 1000;
    if (mode === 'json') stream.write(`${JSON.stringify({ version: 1, stage: label, total, done })}\n`);
    if (mode !== 'bar') return;
    const filled = total === 0 ? BAR_WIDTH : Math.min(BAR_WIDTH, Math.round((BAR_WIDTH * done) / total));
    const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
    const rate = seconds > 0 ? done / seconds : 0;
    const left = rate > 0 && done < total ? `, ${Math.ceil((total - done) / rate)} s left` : '';
    const line = `${label} ${bar} ${formatSize(done)} of ${formatSize(total)}, ${formatSize(rate)}/s${left}`;
    stream.write(`\r\x1b[K${line.slice(0, (stream.columns || 80) - 1)}`);
  };
  const end = () => {
    if (isOver) return;
    isOver = true;
    show();
    if (mode === 'bar') stream.write('\n');
  };
  return {
    add(count) {
      done += count;
      // the rate is that of the bytes, without the work after them
      if (done >= total) end();
      if (isOver || performance.now() - shown < INTERVAL) return;
      shown = performance.now();
      show();
    },
    end,
  };
}

/** Counts the bytes of a stream that pass. */
export async function* metered(
  stream: AsyncIterable<Uint8Array>,
  meter: Meter,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const piece of stream) {
    meter.add(piece.length);
    yield piece;
  }
  meter.end();
}
