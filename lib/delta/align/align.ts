import type { LayerStream } from '../../image/layerstream.ts';
import type { MatchOptions, MatchTask } from './task.ts';
import type { ImageRecord } from '../../image/record.ts';
import { runThread, threadEntry } from '../../runtime/thread.ts';
import type { Alignments } from './alignment.ts';

const alignThread = threadEntry<typeof import('./alignthread.ts')>(
  new URL('./alignthread.ts', import.meta.url),
);

/** An image whose layer stream is on disk. */
interface StoredImage {
  readonly record: Pick<ImageRecord, 'layers'>;
  readonly stream: LayerStream;
}

/** Finds what of the target's layer stream resembles which places of the source's, in a thread of its own. */
export function matchInThread(
  source: StoredImage,
  target: StoredImage,
  { signal, ...options }: MatchOptions,
): Promise<Alignments> {
  const task: MatchTask = { source: named(source), target: named(target), options };
  return runThread(alignThread, task, signal);
}

function named({ record, stream }: StoredImage): LayerStream {
  return { ...stream, diffIDs: record.layers.map(({ diffID }) => diffID) };
}
