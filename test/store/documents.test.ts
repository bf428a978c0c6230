/** Documents of the store: written bytes, damage in every field, formats of later versions. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { PanamaxError } from '../../lib/errors.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { imageRecord, type ImageRecord } from '../../lib/image/record.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { loadCompressions, storeCompressions } from '../../lib/store/compressions.ts';
import {
  imageIdentity,
  parsePatchDescriptor,
  serializePatchDescriptor,
  sourceIdentity,
  type PatchDescriptor,
} from '../../lib/store/descriptor.ts';
import { keys } from '../../lib/store/keys.ts';
import { nameDocument, parseName } from '../../lib/store/name.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { indexHead, readIndex, writeIndex } from '../../lib/store/targetindex.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { mutated } from '../support/mutation.ts';
import { writeRelease } from '../support/releases.ts';
import { fileScope } from '../support/scope.ts';

type Document = Record<string, unknown>;

const WHERE = 'here';
const SIGNATURE = { key: '0123456789abcdef', value: 'c2lnbmF0dXJl' };
const OTHER = `sha256:${'1'.repeat(64)}` as const;

const scope = fileScope();
let directory: string;
let store: Store;
let record: ImageRecord;

before(async () => {
  directory = await temporaryDirectory(scope);
  const layout = join(directory, 'image');
  await writeRelease(layout, 1, 1);
  const image = await openImage(await parseReference(layout), { limits: DEFAULT_LIMITS });
  record = imageRecord(image, [1000, 2000]);
  store = await openDirectoryStore(join(directory, 'store'));
});

function descriptorOf(format: string): PatchDescriptor {
  return {
    format: format,
    effort: 'default',
    source: sourceIdentity(record, [record.manifest, OTHER]),
    target: imageIdentity(record),
    patch: { size: 10, digest: OTHER },
    sizes: { predicted: 9, actual: 10, pull: 20 },
    signature: SIGNATURE,
  };
}

const nameRecord = () => ({
  name: 'registry.example/team/app:1',
  platform: 'linux/amd64',
  target: imageIdentity(record),
  sequence: 1234,
  signature: SIGNATURE,
});

/** Puts a document where `readIndex` looks for it, without the cost of a durable write. */
async function plant(key: string, document: unknown): Promise<void> {
  const path = join(directory, 'store', key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(document) ?? '');
}

async function indexDocument(): Promise<Document> {
  for (const format of ['xdelta', 'oci-delta']) {
    const key = keys.descriptor(record.manifest, record.manifest, format);
    await store.put(key, serializePatchDescriptor(descriptorOf(format)));
  }
  await writeIndex(store, indexHead(record));
  return JSON.parse(String(await store.get(keys.index(record.manifest)))) as Document;
}

async function readPlanted(document: unknown) {
  await plant(keys.index(record.manifest), document);
  return readIndex(store, record.manifest);
}

const asBytes = (document: unknown) => Buffer.from(JSON.stringify(document) ?? '');

/** A copy with the value at a path, such as `patches.0.source.layers`, replaced or (undefined) removed. */
function damage(document: Document, path: string, value: unknown): Document {
  const copy = structuredClone(document);
  const parts = path.split('.');
  const last = parts.pop()!;
  const parent = parts.reduce((at, part) => at[part] as Document, copy);
  parent[last] = value;
  return copy;
}

const PARSERS = {
  descriptor: {
    document: async () => JSON.parse(String(serializePatchDescriptor(descriptorOf('xdelta')))) as Document,
    parse: async (document: unknown) => parsePatchDescriptor(asBytes(document), WHERE),
    fields: [
      'format',
      'effort',
      'source',
      'source.manifest',
      'source.config',
      'source.layers',
      'source.size',
      'source.diffIDs.1',
      'source.images.0',
      'target',
      'target.manifest',
      'target.config',
      'target.layers',
      'target.size',
      'patch.size',
      'patch.digest',
      'sizes.predicted',
      'sizes.actual',
      'sizes.pull',
      'signature.key',
      'signature.value',
    ],
  },
  name: {
    document: async () => JSON.parse(String(nameDocument(nameRecord()))) as Document,
    parse: async (document: unknown) => parseName(asBytes(document), WHERE),
    fields: ['name', 'platform', 'target', 'target.config', 'sequence', 'signature.key', 'signature.value'],
  },
  index: {
    document: indexDocument,
    parse: readPlanted,
    fields: [
      'target',
      'target.manifest',
      'target.config',
      'target.layers',
      'target.size',
      'target.platform',
      'target.manifestDocument',
      'pullSize',
      'patches',
      'patches.0.source',
      'patches.0.source.manifest',
      'patches.0.source.diffIDs.0',
      'patches.1.key',
      'patches.1.size',
      'patches.1.digest',
      'patches.1.pullSize',
      'patches.1.signature.value',
    ],
  },
} as const;

/** The first version that a parser does not know, and the versions that it then names. */
const VERSIONS = { descriptor: [2, '1'], name: [3, '1 or 2'], index: [2, '1'] } as const;

for (const [kind, { document, parse, fields }] of Object.entries(PARSERS)) {
  describe(`${kind} of the store`, () => {
    test('refuses every damaged field and names its place', async () => {
      const sound = await document();
      await parse(sound);
      for (const field of fields) {
        for (const value of [undefined, null, -1, 0.5, [], {}]) {
          // an index without patches is a sound one
          if (field === 'patches' && Array.isArray(value)) continue;
          const place = field.replaceAll(/\.(\d+)/g, '[$1]');
          await assert.rejects(parse(damage(sound, field, value)), (error: PanamaxError) => {
            assert.ok(error instanceof PanamaxError && error.kind === 'bad-input', error.stack);
            assert.ok(error.message.replaceAll('] ', '].').includes(place), `${field}: ${error.message}`);
            return true;
          });
        }
      }
    });

    test('refuses another version, and anything that is not an object', async () => {
      const sound = await document();
      const [version, known] = VERSIONS[kind as keyof typeof VERSIONS];
      const message = new RegExp(`^unknown version of .*expected ${known}, found ${version}, in `);
      await assert.rejects(parse({ ...sound, version }), { kind: 'bad-input', message });
      for (const value of [null, [], 'text', 1, undefined]) {
        await assert.rejects(parse(value), { kind: 'bad-input', message: new RegExp('in .') });
      }
    });

    test('understands or refuses any damage', async () => {
      const sound = await document();
      const check = fc.asyncProperty(mutated(sound), async (changed) => {
        try {
          await parse(changed);
        } catch (error) {
          assert.ok(error instanceof PanamaxError, (error as Error).stack);
          assert.equal(error.kind, 'bad-input', error.stack);
          assert.doesNotMatch(error.message, /\p{Cc}/u, 'control characters');
        }
      });
      await fc.assert(check, { numRuns: 200 });
    });
  });
}

describe('documents of the store', () => {
  test('are read as they were written', async () => {
    const descriptor = descriptorOf('oci-delta');
    const bytes = serializePatchDescriptor(descriptor);
    assert.deepEqual(parsePatchDescriptor(bytes, WHERE), descriptor);
    assert.ok(serializePatchDescriptor(parsePatchDescriptor(bytes, WHERE)).equals(bytes), 'same bytes again');
    const name = nameRecord();
    assert.deepEqual(parseName(nameDocument(name), WHERE), name);
    const { patches, target } = (await readPlanted(await indexDocument()))!;
    assert.deepEqual(target, indexHead(record).target);
    assert.deepEqual(
      patches.map(({ format, source, signature }) => ({ format, source, signature })),
      ['oci-delta', 'xdelta'].map((format) => ({
        format,
        source: descriptor.source,
        signature: SIGNATURE,
      })),
    );
  });

  test('keep their readable entries when an index has formats and fields of a later version', async () => {
    const sound = await indexDocument();
    const [first, second] = sound['patches'] as Document[];
    const later = [
      { ...first, format: 'later', key: '../outside', source: null },
      { format: { name: 'later' } },
      {},
      { ...second, added: { since: 2 } },
    ];
    const index = await readPlanted({ ...sound, patches: [first, ...later], added: true });
    assert.deepEqual(
      index!.patches.map(({ format }) => format),
      ['oci-delta', 'xdelta'],
    );
    assert.ok(index!.patches.every((offer) => !('added' in offer)));
  });

  test('refuse a source whose layers are others than its digest says', async () => {
    const source = { ...descriptorOf('xdelta').source, diffIDs: [OTHER] };
    const bytes = serializePatchDescriptor({ ...descriptorOf('xdelta'), source });
    assert.throws(() => parsePatchDescriptor(bytes, WHERE), {
      kind: 'bad-input',
      message: /^layers of another source: .* in here source$/,
    });
  });

  test('hide a damaged descriptor from the index, and no other', async () => {
    await indexDocument();
    const damaged = keys.descriptor(record.manifest, record.manifest, 'xdelta');
    for (const document of [{}, { version: 1 }, { ...descriptorOf('xdelta'), version: 9 }]) {
      await plant(damaged, document);
      await writeIndex(store, indexHead(record));
      const index = await readIndex(store, record.manifest);
      assert.deepEqual(
        index!.patches.map(({ format }) => format),
        ['oci-delta'],
      );
    }
  });

  test('give no compression of a layer when its entry is damaged', async () => {
    const layer = OTHER;
    await storeCompressions(store, new Map([[layer, { encoder: 'none' }]]));
    assert.deepEqual(await loadCompressions(store, [layer]), new Map([[layer, { encoder: 'none' }]]));
    await storeCompressions(store, new Map([[layer, null]]));
    assert.deepEqual(await loadCompressions(store, [layer]), new Map([[layer, null]]));
    for (const document of [{}, [], null, { compression: 1 }, { compression: { encoder: 7 } }]) {
      await plant(keys.compression(layer), document);
      assert.deepEqual(await loadCompressions(store, [layer]), new Map(), JSON.stringify(document));
    }
  });
});
