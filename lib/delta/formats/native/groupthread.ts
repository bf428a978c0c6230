import { serveThread } from '../../../runtime/threadmain.ts';
import { createGroupHandler } from './groupjob.ts';
import { createOpenFiles } from '../../../runtime/space.ts';

/** The body of a thread that encodes or builds groups. */

export const handler = serveThread(createGroupHandler(createOpenFiles()));
