import { serveThread } from '../../runtime/threadmain.ts';
import type { LayerStream } from './alignment.ts';
import type { MatchOptions } from './align.ts';
import { matchStreams } from './alignstreams.ts';

/** The body of the thread that matches two layer streams: the memory that takes goes when it ends. */

export interface MatchTask {
  readonly source: LayerStream;
  readonly target: LayerStream;
  readonly options: Omit<MatchOptions, 'signal'>;
}

serveThread(({ source, target, options }: MatchTask) => matchStreams(source, target, options));
