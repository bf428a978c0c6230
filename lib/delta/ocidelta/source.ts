import { open } from 'node:fs/promises';
import type { Limits } from '../../limits.ts';
import type { Digest } from '../../oci/descriptor.ts';
import { listRootfsFiles } from '../../oci/rootfsfiles.ts';
import type { LayerStream } from '../alignment.ts';
import { openInStream } from '../tardiff/sourceaccess.ts';
import { indexSourceFiles } from '../tardiff/sourcefiles.ts';
import { fileAccess } from '../vcdiff/randomaccess.ts';
import type { RebuildSource } from './rebuild.ts';

/**
 * Opens an image on scratch as the source of a delta: its layers, and the files of its flattened root filesystem.
 *
 * @throws PanamaxError `bad-input`, `limit`
 */
export async function openRebuildSource(
  stream: LayerStream,
  layers: readonly { readonly diffID: Digest }[],
  limits: Limits,
): Promise<RebuildSource & AsyncDisposable> {
  const files = indexSourceFiles(await listRootfsFiles(stream, limits));
  const file = await open(stream.path);
  const access = await fileAccess(file);
  return {
    stream: access,
    layers: layers.map(({ diffID }, i) => ({ diffID, size: stream.layerSizes[i]! })),
    openFile: openInStream(access, files),
    [Symbol.asyncDispose]: () => file.close(),
  };
}
