import { serveThread } from '../../threadmain.ts';
import { listLayers } from './listing.ts';

/** The body of a thread that lists layers while another lists the others. */
serveThread(listLayers);
