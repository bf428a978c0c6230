/** Comparisons of columns equal those of a plain program over files and strings. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareProfiles, isSampled, sampleCount, similarityOf } from '../../lib/pairing/compare.ts';
import { createContents, type ContentRecord } from '../../lib/pairing/signature/contents.ts';
import { digestAt, digestBytes } from '../../lib/pairing/signature/digestset.ts';
import { fileTableOf } from '../../lib/pairing/signature/filetable.ts';
import { profileOf } from '../../lib/pairing/signature/profile.ts';
import type { Signature } from '../../lib/pairing/signature/signature.ts';
import { asTarget } from '../../lib/pairing/target.ts';
import { textColumn, wordsColumn } from '../../lib/runtime/column.ts';
import { digestOf } from '../support/layout.ts';
import { comparePlainly } from '../support/plaincomparison.ts';
import { createRandom, type Random } from '../support/random.ts';

const sha = (text: string) => digestOf(Buffer.from(text)) as `sha256:${string}`;

const NAMES = ['lib1.so', 'lib2.so', 'lib10.so', 'a.js', 'b.js', 'README', '2024.log'];

/** Some contents, of which the images below have several in common, at levels 0 to 3. */
function makeContents(random: Random): ContentRecord[] {
  const pool = Array.from({ length: 400 }, () => random.below(2 ** 32));
  return Array.from({ length: 60 }, (_, i) => {
    const level = [0, 0, 0, 0, 1, 2, 3][random.below(7)]!;
    const samples = new Set<number>();
    for (let k = random.below(30); k > 0; k--) {
      const sample = pool[random.below(pool.length)]!;
      samples.add(sample - (sample % 2 ** level));
    }
    return {
      digest: sha(`content ${i}`),
      size: random.below(20) * 1000,
      density: random.below(1001) / 1000,
      level,
      samples: Uint32Array.from(samples).sort(),
    };
  });
}

/** Layers by name, so that images share some. */
function makeLayer(name: string, contents: readonly ContentRecord[], random: Random) {
  const files = Array.from({ length: random.below(40) }, () => ({
    path: `${['', './', '/', '././'][random.below(4)]!}d${random.below(6)}/${NAMES[random.below(NAMES.length)]!}`,
    content: contents[random.below(contents.length)]!,
  }));
  return { name, files };
}

function makeSignature(name: string, layers: readonly ReturnType<typeof makeLayer>[]): Signature {
  const contents = createContents();
  return {
    image: {
      manifest: sha(name),
      manifestDocument: '',
      config: sha(`${name} config`),
      configDocument: '{}',
      platform: 'linux/amd64',
      layers: layers.map((layer) => ({
        diffID: sha(layer.name),
        size: 10_000 + layer.files.length,
        digest: sha(`${layer.name} blob`),
        mediaType: '',
        pullSize: 5000 + layer.files.length,
      })),
    },
    contentDigest: sha(`${name} content`),
    contentSize: 0,
    tlsh: null,
    files: fileTableOf([]),
    layers: layers.map(({ files }) => {
      const paths = textColumn();
      const numbers = wordsColumn();
      for (const { path, content } of files) {
        paths.push(path);
        numbers.push(contents.add(digestBytes(content.digest), content.size, content));
      }
      const entries = files.length + 3;
      return { tlsh: null, entries, files: { paths: paths.finish(), contents: numbers.finish() } };
    }),
    contents: contents.finish(),
  };
}

function makeImages(seed: number, count: number): Signature[] {
  const random = createRandom(seed);
  const contents = makeContents(random);
  const layers = Array.from({ length: 8 }, (_, i) => makeLayer(`${seed} layer ${i}`, contents, random));
  return Array.from({ length: count }, (_, i) =>
    makeSignature(
      `${seed} image ${i}`,
      Array.from({ length: random.below(5) }, () => layers[random.below(layers.length)]!),
    ),
  );
}

function compareByColumns(target: Signature, sources: readonly Signature[]) {
  const wanted = asTarget(profileOf(target));
  const {
    contents,
    shares,
    counterparts,
    changes: _,
    ...rest
  } = compareProfiles(wanted, sources.map(profileOf));
  return {
    ...rest,
    contents: Array.from(contents, (content, i) => {
      const samples = sampleCount(wanted.columns, content);
      return {
        digest: digestAt(target.contents.digests, content),
        compressed: wanted.compressed[content]!,
        hasCounterpart: counterparts[i] === 1,
        similarity: isSampled(samples) ? similarityOf(shares[i]!, samples) : undefined,
      };
    }),
  };
}

describe('a comparison of columns equals one of files and strings', () => {
  test('with each single source', () => {
    let changed = 0;
    for (let seed = 0; seed < 12; seed++) {
      const images = makeImages(seed, 6);
      for (const target of images) {
        for (const source of images) {
          const plain = comparePlainly(target, [source]);
          assert.deepEqual(compareByColumns(target, [source]), plain, `seed ${seed}`);
          if (plain.changedBytes > 0) changed++;
        }
      }
    }
    assert.ok(changed > 100, `${changed} with changed bytes`);
  });

  test('with several images as one source', () => {
    for (let seed = 100; seed < 112; seed++) {
      const [target, ...sources] = makeImages(seed, 4) as [Signature, ...Signature[]];
      for (const some of [sources, sources.slice(1), sources.toReversed()])
        assert.deepEqual(compareByColumns(target, some), comparePlainly(target, some), `seed ${seed}`);
    }
  });
});
