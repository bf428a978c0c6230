/** A file counts as missing only if the system says so; any other error is told. */
import assert from 'node:assert/strict';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { formatOfFile } from '../../lib/delta/patch.ts';
import { createAllowlist } from '../../lib/image/allowlist.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { openImage } from '../../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../../lib/limits.ts';
import { isThere } from '../../lib/runtime/scratch.ts';
import { openDirectoryReader } from '../../lib/store/objects/directory.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { blobPath, writeLayout } from '../support/layout.ts';
import { writeTar } from '../support/tar.ts';

const loops = { kind: 'io', message: /ELOOP/ };

/** Replaces a file by a symlink to itself: each look at it ends with ELOOP, for root, too. */
async function makeLoop(path: string): Promise<string> {
  await rm(path, { force: true });
  await symlink(path, path);
  return path;
}

test('tells errors of looking at a file that are not about a missing one', async (t) => {
  const loop = await makeLoop(join(await temporaryDirectory(t), 'loop'));
  const actions = {
    plain: () => parseReference(loop),
    layout: () => openImage({ transport: 'oci', path: loop }, { limits }),
    archive: () => openImage({ transport: 'docker-archive', path: loop }, { limits }),
    patch: () => formatOfFile(loop),
    store: () => openDirectoryReader(loop),
    scratch: () => isThere(loop),
    allowed: () => createAllowlist([`oci:${loop}`])(`oci:${loop}`),
  };
  for (const [name, action] of Object.entries(actions)) await assert.rejects(action, loops, name);
});

test('tells errors of looking at the files of a layout', async (t) => {
  const layout = join(await temporaryDirectory(t), 'image');
  const { layerDigests } = await writeLayout(layout, [writeTar([{ path: 'a', content: 'a' }])]);
  const reference = { transport: 'oci', path: layout } as const;
  const image = await openImage(reference, { limits });
  await makeLoop(blobPath(layout, layerDigests[0]!));
  await assert.rejects(buffer(image.layers[0]!.blob()), loops);
  for (const name of ['index.json', 'oci-layout']) {
    await makeLoop(join(layout, name));
    await assert.rejects(
      name === 'index.json' ? openImage(reference, { limits }) : parseReference(layout),
      loops,
    );
  }
});

test('takes a path with a NUL for one that does not exist', async () => {
  await assert.rejects(openImage({ transport: 'oci', path: 'a\0b' }, { limits }), { kind: 'not-found' });
});
