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
  if (mine) parentPort!.postMessage(compressor.compress(windows));
  else compressor.skip(windows);
  // the collector would leave it for long, as it does not see how much there is
  for (const { data, instructions, addresses } of windows) {
    for (const { buffer } of [data, instructions, addresses]) buffer.transfer(0);
  }
});
