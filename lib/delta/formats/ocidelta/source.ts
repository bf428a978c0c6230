import type { LayerStream } from '../../../image/layerstream.ts';
import type { Digest } from '../../../digest.ts';
import { open } from 'node:fs/promises';
import type { RootfsFiles } from '../../../image/rootfsfiles.ts';
import { openInStream } from './tardiff/sourceaccess.ts';
import { indexSourceFiles } from './tardiff/sourcefiles.ts';
import { fileAccess } from '../../randomaccess.ts';
import type { RebuildSource } from './rebuild.ts';

/**
 * Opens an image on scratch as the source of a delta: its layers, and the files of its flattened root filesystem.
 *
 * @param path of the layer stream, which is one file
 * @param files as `listRootfsFiles` lists them
 */
export async function openRebuildSource(
  path: string,
  { parts }: LayerStream,
  layers: readonly { readonly diffID: Digest }[],
  files: RootfsFiles,
): Promise<RebuildSource & AsyncDisposable> {
  const index = indexSourceFiles(files);
  const file = await open(path);
  const access = await fileAccess(file);
  return {
    stream: access,
    layers: layers.map(({ diffID }, i) => ({ diffID, size: parts[i]!.size })),
    openFile: openInStream(access, index),
    [Symbol.asyncDispose]: () => file.close(),
  };
}
