import { serveThread } from '../../../runtime/threadmain.ts';
import { createStreamHandler } from './streamjob.ts';

/** The body of a thread that compresses streams of a patch. */

export const handler = serveThread(createStreamHandler());
