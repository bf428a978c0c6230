import type { UnpackedImage } from '../../lib/delta/format.ts';

/** The encoder verifies a patch before it finishes. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPatch } from '../../lib/delta/create.ts';
import { DEFAULT_LIMITS as limits } from '../../lib/limits.ts';
import { openImage } from '../../lib/image/open.ts';
import { layerSizes, unpackImage } from '../../lib/image/layerstream.ts';
import { imageRecord } from '../../lib/image/record.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { createRandom } from '../support/random.ts';
import { writeTar } from '../support/tar.ts';

const random = createRandom(7);
const BASE = writeTar([{ path: 'a', content: random.bytes(300_000) }]);
const APP = writeTar([{ path: 'b', content: random.bytes(30_000) }]);
const NEW_APP = writeTar([{ path: 'b', content: random.bytes(30_000) }]);

async function unpack(path: string, layers: readonly Buffer[]): Promise<UnpackedImage> {
  await writeLayout(path, layers);
  const image = await openImage(await parseReference(path), { limits });
  const stream = await unpackImage(image, `${path}.stream`, limits);
  return { record: imageRecord(image, layerSizes(stream)), stream, layers: image.layers };
}

for (const format of ['xdelta', 'oci-delta'] as const) {
  test(`makes no ${format} patch if the target is damaged on scratch`, async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await unpack(join(directory, 'source'), [BASE, APP]);
    const target = await unpack(join(directory, 'target'), [BASE, NEW_APP]);
    const scratch = join(directory, 'scratch');
    mkdirSync(scratch);
    const task = { source, target, scratch, effort: 'default' as const, limits };
    await createPatch(format, { ...task, path: join(directory, 'sound') });

    const bytes = readFileSync(target.stream.parts[0]!.path);
    // an oci-delta does not contain a layer that both images have
    const at = format === 'xdelta' ? 150_000 : BASE.length + 20_000;
    bytes[at]! ^= 1;
    writeFileSync(target.stream.parts[0]!.path, bytes);
    await assert.rejects(createPatch(format, { ...task, path: join(directory, 'damaged') }), {
      kind: 'bad-patch',
    });
  });
}
