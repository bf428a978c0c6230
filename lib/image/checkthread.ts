import type { Limits } from '../limits.ts';
import { serveThread } from '../runtime/threadmain.ts';
import { checkRootfs, type NamedStream } from './rootfsfiles.ts';

/** Flattens the images of a pair in a thread, because the trees that it builds take much memory. */

export interface CheckTask {
  readonly images: readonly [NamedStream, NamedStream];
  readonly limits: Limits;
  /** Whether the files of the first are wanted. */
  readonly isListed: boolean;
}

export const handler = serveThread(({ images, limits, isListed }: CheckTask) =>
  checkRootfs(images, limits, isListed),
);
