import { parentPort, workerData } from 'node:worker_threads';
import { createCompressor, type Thoroughness } from './compressor.ts';
import type { Sections } from './sections.ts';

/** The body of a thread that compresses some of a patch's windows and is shown the others. */

export interface CompressorTask {
  readonly windows: readonly Sections[];
  /** Whether this thread compresses them. */
  readonly mine: boolean;
}

const compressor = createCompressor(workerData as Thoroughness);

parentPort!.on('message', ({ windows, mine }: CompressorTask) => {
  if (!mine) compressor.skip(windows);
  parentPort!.postMessage(mine ? compressor.compress(windows) : []);
});
