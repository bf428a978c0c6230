import type { Limits } from '../limits.ts';
import { serveThread } from '../runtime/threadmain.ts';
import type { LayerStream } from './layerstream.ts';
import { listRootfsFiles } from './rootfsfiles.ts';
import { scanTarFileBlocking } from './tar/file.ts';

/** Lists the files of an image in a thread, because the tree that it builds takes much memory. */

export interface RootfsTask {
  readonly stream: LayerStream;
  readonly limits: Limits;
}

export const handler = serveThread(({ stream, limits }: RootfsTask) =>
  listRootfsFiles(stream, limits, scanTarFileBlocking),
);
