import type { StreamsTask } from './task.ts';
import { serveThread } from '../../runtime/threadmain.ts';
import { alignStreams } from './alignstreams.ts';

/** The body of the thread that aligns two layer streams. Its memory is freed when it ends. */

export const handler = serveThread(({ source, target, options }: StreamsTask) =>
  alignStreams(source, target, options),
);
