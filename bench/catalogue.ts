import type { Digest } from '../lib/digest.ts';
import { createHash } from 'node:crypto';
import { createImageSketchBuilder, type ImageSketch } from '../lib/pairing/signature/imagesketch.ts';

/** An image of a synthetic registry: its contents as items with weights. */
export interface MadeImage {
  readonly manifest: Digest;
  readonly items: ReadonlyMap<number, number>;
}

const ITEMS_OF_BASE = 150;
const ITEMS_OF_APPLICATION = 150;
const RELEASES = 25;

/**
 * A synthetic registry of any size, the same in every run: applications over shared bases, each in 25 releases. A release
 * replaces 1 to 12 % of its application's items. Every fifth release moves to another release of its base. Every tenth
 * release is a rebuild of the one before with one item changed. Sizes of items span three orders of magnitude. There is
 * one base per 100 applications.
 */
export function* makeCatalogue(size: number): Generator<MadeImage, void, void> {
  const bases = Math.max(4, Math.ceil(size / RELEASES / 100));
  for (let application = 0, made = 0; made < size; application++) {
    const random = createGenerator(application);
    const base = random() % bases;
    let baseRelease = random() % 8;
    let own = Array.from({ length: ITEMS_OF_APPLICATION }, random);
    for (let release = 0; release < RELEASES && made < size; release++, made++) {
      const isRebuild = release % 10 === 9;
      if (release % 5 === 4) baseRelease++;
      const changed = isRebuild ? 1 : Math.ceil((ITEMS_OF_APPLICATION * (1 + (random() % 12))) / 100);
      own = own.slice();
      for (let i = 0; i < changed; i++) own[random() % own.length] = random();
      const items = new Map<number, number>();
      for (const item of [...baseItems(base, baseRelease), ...own]) items.set(item, weightOf(item));
      yield { manifest: digestOf(`${application} ${release}`), items };
    }
  }
}

export function sketchOfItems(items: ReadonlyMap<number, number>): ImageSketch {
  const builder = createImageSketchBuilder();
  for (const [item, weight] of items) builder.add(item, weight);
  return builder.finish();
}

/** Weighted Jaccard similarity, which image sketches estimate. */
export function trueSimilarity(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): number {
  let common = 0;
  let all = 0;
  for (const [item, weight] of a) {
    all += weight;
    if (b.has(item)) common += weight;
  }
  for (const [item, weight] of b) if (!a.has(item)) all += weight;
  return common / all;
}

const bases = new Map<string, readonly number[]>();

/** The items of a base release. Each release keeps 97 % of the items of the one before. */
function baseItems(base: number, release: number): readonly number[] {
  const name = `${base} ${release}`;
  const known = bases.get(name);
  if (known) return known;
  const random = createGenerator((base + 1) * 0x10001 + release);
  let items: number[];
  if (release === 0) items = Array.from({ length: ITEMS_OF_BASE }, random);
  else {
    items = [...baseItems(base, release - 1)];
    for (let i = 0; i < ITEMS_OF_BASE * 0.03; i++) items[random() % items.length] = random();
  }
  bases.set(name, items);
  return items;
}

/** A weight from 1 to 1000. Small weights are more frequent. */
function weightOf(item: number): number {
  return 10 ** (((item >>> 3) % 3000) / 1000);
}

function digestOf(name: string): Digest {
  return `sha256:${createHash('sha256').update(name).digest('hex')}`;
}

/** A Mulberry32 generator, the same as in `test/support/random.ts`. */
export function createGenerator(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
