import type { Limits } from '../limits.ts';
import { serveThread } from '../runtime/threadmain.ts';
import type { LayerStream } from './layerstream.ts';
import { listRootfsFiles } from './rootfsfiles.ts';
import { scanTarFileBlocking } from './tar/file.ts';

/** The body of the thread that lists the files of an image: the tree that takes goes when it ends. */

export interface RootfsTask {
  readonly stream: LayerStream;
  readonly limits: Limits;
}

export const handler = serveThread(({ stream, limits }: RootfsTask) =>
  listRootfsFiles(stream, limits, scanTarFileBlocking),
);
