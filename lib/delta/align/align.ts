import type { LayerStream } from '../../image/layerstream.ts';
import type { AlignOptions, StreamsTask } from './task.ts';
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

/** Aligns the target's layer stream with the source's, in a thread of its own. */
export function alignInThread(
  source: StoredImage,
  target: StoredImage,
  { signal, ...options }: AlignOptions,
): Promise<Alignments> {
  const task: StreamsTask = { source: named(source), target: named(target), options };
  return runThread(alignThread, task, signal);
}

function named({ record, stream }: StoredImage): LayerStream {
  return { ...stream, diffIDs: record.layers.map(({ diffID }) => diffID) };
}
