import type { LayerStream } from '../../image/layerstream.ts';
import type { MatchOptions, MatchTask } from './task.ts';
import type { ImageRecord } from '../../image/record.ts';
import { runThread, threadModule } from '../../runtime/thread.ts';
import type { Alignments } from './alignment.ts';

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
  return runThread(threadModule('./alignthread', import.meta.url), task, signal);
}

function named({ record, stream }: StoredImage): LayerStream {
  return { ...stream, diffIDs: record.layers.map(({ diffID }) => diffID) };
}
