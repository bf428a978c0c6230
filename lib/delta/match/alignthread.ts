import { serveThread } from '../../threadmain.ts';
import { alignPairs, type AlignTask } from './stretch.ts';

/** The body of a thread that aligns a share of the stretches. */
serveThread((task: AlignTask) => Promise.resolve(alignPairs(task)));
