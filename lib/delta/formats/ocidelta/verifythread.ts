import { serveThread } from '../../../runtime/threadmain.ts';
import { verifyTarDiffs } from './verify.ts';

/** The body of the thread that verifies tar-diffs. */
export const handler = serveThread(verifyTarDiffs);
