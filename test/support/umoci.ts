/** umoci as a judge of flattening: it unpacks layers as a container engine does. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeLayout } from './layout.ts';
import { readTree, type TreeItem } from './tree.ts';

/** The tree that `umoci raw unpack` makes of the layers, bottom first; rejects if umoci refuses them. */
export async function unpack(layers: readonly Uint8Array[]): Promise<TreeItem[]> {
  const directory = await mkdtemp(join(tmpdir(), 'panamax-umoci-'));
  try {
    await writeLayout(join(directory, 'layout'), layers, { compression: 'none' });
    // The modes of implied directories depend on the umask.
    const command = 'umask 022 && exec umoci raw unpack --image layout:latest rootfs';
    await promisify(execFile)('sh', ['-c', command], { cwd: directory });
    return await readTree(join(directory, 'rootfs'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
