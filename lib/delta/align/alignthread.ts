import type { MatchTask } from './task.ts';
import { serveThread } from '../../runtime/threadmain.ts';
import { matchStreams } from './alignstreams.ts';

/** The body of the thread that matches two layer streams: the memory that takes goes when it ends. */

export const handler = serveThread(({ source, target, options }: MatchTask) =>
  matchStreams(source, target, options),
);
