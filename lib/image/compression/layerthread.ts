import { serveThread } from '../../runtime/threadmain.ts';
import { searchLayer } from './searchlayer.ts';

/** Searches the encoder of a layer in a thread. */

export const handler = serveThread(searchLayer);
