import { serveThread } from '../../threadmain.ts';
import { listStream } from './listing.ts';

/** The body of a thread that lists one layer stream while another thread lists the other. */
serveThread(listStream);
