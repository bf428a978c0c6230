/** A thread that fills a number of MiB of its heap. */
import { serveThread } from '../../lib/runtime/threadmain.ts';

export const handler = serveThread(async (mebibytes: number) => {
  const kept: number[][] = [];
  for (let i = 0; i < mebibytes; i++) kept.push(Array.from({ length: 2 ** 17 }, (_, j) => j + 0.5));
  return kept.length;
});
