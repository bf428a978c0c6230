import { serveThread } from '../../threadmain.ts';
import { verifyLayers, type VerifyShare } from './verify.ts';

/** The body of a thread that verifies some layers of an artifact. */
serveThread((share: VerifyShare) => verifyLayers(share));
