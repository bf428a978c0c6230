import { type Digest, hexOf } from '../digest.ts';
import { sketchSimilarity, treeKeys, TREE_DEPTH, TREES, type ImageSketch } from './signature/imagesketch.ts';

/** Finds the images most similar to a given one without a comparison with each. */
export interface SimilarityIndex {
  /** An image that is in the index already is replaced. */
  add(images: readonly IndexedImage[]): Promise<void>;
  remove(manifest: Digest): Promise<void>;
  /** The manifests of all images, in no particular order. */
  list(): AsyncIterable<Digest>;
  /**
   * At most `count` images, most similar first. The result includes the queried image if it is in the index.
   *
   * @param among restricts the result to these images; some that share almost nothing with the query may be missing
   */
  nearest(sketch: ImageSketch, count: number, among?: readonly Digest[]): Promise<Neighbour[]>;
  /** The stored sketch of each image, or undefined. */
  sketches(manifests: readonly Digest[]): Promise<(ImageSketch | undefined)[]>;
}

export interface IndexedImage {
  readonly manifest: Digest;
  readonly sketch: ImageSketch;
}

export interface Neighbour {
  readonly manifest: Digest;
  /** Estimated share of bytes in common, 0 to 1. */
  readonly similarity: number;
}

/**
 * Storage of a forest: an ordered set of members per tree, and a record per image. A member is a tree key followed by
 * an image's id. An id is the first 8 bytes of a manifest digest. All values are bytes.
 */
export interface ForestStorage {
  put(
    images: readonly { readonly id: Buffer; readonly keys: readonly Buffer[]; readonly record: Buffer }[],
  ): Promise<void>;
  remove(id: Buffer, keys: readonly Buffer[]): Promise<void>;
  /** For each tree the `count` members before the key and the `count` members from the key on, in bytewise order. */
  around(keys: readonly Buffer[], count: number): Promise<Buffer[][]>;
  records(ids: readonly Buffer[]): Promise<(Buffer | null | undefined)[]>;
  all(): AsyncIterable<Buffer>;
}

const ID_SIZE = 8;
const DIGEST_SIZE = 32;
/** Members read in each direction of each tree at first. */
const INITIAL_REACH = 24;
/** Factor and bound of the reach when too few of the members read are allowed. */
const REACH_GROWTH = 4;
const MAX_REACH = 1536;
/** Least number of records compared for a query. */
const MIN_COMPARED = 128;

/**
 * An LSH forest (Bawa, Condie, Ganesan, "LSH forest: self-tuning indexes for similarity search", WWW 2005). Each tree
 * orders the images by another selection of sketch bins, so similar images are neighbours in most trees. A query reads
 * the neighbours in each tree and compares the sketches of those with the longest common prefixes. The work grows with
 * the logarithm of the number of images, and does not depend on how many of them share a prefix.
 */
export function createForest(storage: ForestStorage): SimilarityIndex {
  return {
    async add(images) {
      const ids = images.map(({ manifest }) => idOf(manifest));
      const known = await storage.records(ids);
      const added = [];
      for (const [i, { manifest, sketch }] of images.entries()) {
        const id = ids[i]!;
        const before = known[i]?.subarray(DIGEST_SIZE);
        if (before?.equals(sketch)) continue;
        if (before) await storage.remove(id, membersOf(id, before));
        const record = Buffer.concat([Buffer.from(hexOf(manifest), 'hex'), sketch]);
        added.push({ id, keys: membersOf(id, sketch), record });
      }
      await storage.put(added);
    },
    async remove(manifest) {
      const id = idOf(manifest);
      const [record] = await storage.records([id]);
      if (record) await storage.remove(id, membersOf(id, record.subarray(DIGEST_SIZE)));
    },
    async *list() {
      for await (const record of storage.all()) yield manifestOf(record);
    },
    async nearest(sketch, count, among) {
      const keys = treeKeys(sketch);
      const allowed = among && new Set(among.map((manifest) => idOf(manifest).toString('latin1')));
      const wanted = Math.min(count, allowed?.size ?? 0);
      let scores = new Map<string, number>();
      for (let reach = INITIAL_REACH; ; reach *= REACH_GROWTH) {
        const found = await storage.around(keys, reach);
        scores = scoresOf(found, keys, allowed);
        const isAll = found.every((members) => members.length < 2 * reach);
        if (scores.size >= wanted || isAll || reach >= MAX_REACH) break;
      }
      const ids = [...scores].sort(([, a], [, b]) => b - a).slice(0, Math.max(2 * count, MIN_COMPARED));
      const records = await storage.records(ids.map(([id]) => Buffer.from(id, 'latin1')));
      return records
        .flatMap((record) =>
          record
            ? [
                {
                  manifest: manifestOf(record),
                  similarity: sketchSimilarity(sketch, record.subarray(DIGEST_SIZE)),
                },
              ]
            : [],
        )
        .sort((a, b) => b.similarity - a.similarity || (a.manifest < b.manifest ? -1 : 1))
        .slice(0, count);
    },
    async sketches(manifests) {
      const records = await storage.records(manifests.map(idOf));
      return records.map((record) => record?.subarray(DIGEST_SIZE));
    },
  };
}

/** The total length of common prefixes with the query's keys, by id. */
function scoresOf(
  found: readonly Buffer[][],
  keys: readonly Buffer[],
  allowed: ReadonlySet<string> | undefined,
): Map<string, number> {
  const scores = new Map<string, number>();
  for (const [tree, members] of found.entries()) {
    for (const member of members) {
      const id = member.toString('latin1', TREE_DEPTH);
      if (allowed && !allowed.has(id)) continue;
      scores.set(id, (scores.get(id) ?? 0) + commonPrefix(member, keys[tree]!));
    }
  }
  return scores;
}

/** Two images with the same id would be taken for one. Among a million images the chance is below 1 in 10 million. */
function idOf(manifest: Digest): Buffer {
  return Buffer.from(hexOf(manifest).slice(0, 2 * ID_SIZE), 'hex');
}

function manifestOf(record: Buffer): Digest {
  return `sha256:${record.toString('hex', 0, DIGEST_SIZE)}`;
}

function membersOf(id: Buffer, sketch: ImageSketch): Buffer[] {
  return treeKeys(sketch).map((key) => Buffer.concat([key, id]));
}

function commonPrefix(a: Buffer, b: Buffer): number {
  let length = 0;
  while (length < TREE_DEPTH && a[length] === b[length]) length++;
  return length;
}

/** Keeps a forest in the memory of this process. */
export function createMemoryStorage(): ForestStorage {
  const records = new Map<string, Buffer>();
  const trees = Array.from({ length: TREES }, () => ({ members: [] as string[], isSorted: true }));
  const sorted = (tree: (typeof trees)[number]) => {
    // usually many images are added before the first query, so members are sorted at the query
    if (!tree.isSorted) tree.members = [...new Set(tree.members)].sort();
    tree.isSorted = true;
    return tree.members;
  };
  return {
    async put(images) {
      for (const { id, keys, record } of images) {
        records.set(id.toString('latin1'), record);
        for (const [i, key] of keys.entries()) {
          trees[i]!.members.push(key.toString('latin1'));
          trees[i]!.isSorted = false;
        }
      }
    },
    async remove(id, keys) {
      records.delete(id.toString('latin1'));
      for (const [i, key] of keys.entries()) {
        const members = sorted(trees[i]!);
        const at = lowerBound(members, key.toString('latin1'));
        if (members[at] === key.toString('latin1')) members.splice(at, 1);
      }
    },
    async around(keys, count) {
      return keys.map((key, i) => {
        const members = sorted(trees[i]!);
        const at = lowerBound(members, key.toString('latin1'));
        return members
          .slice(Math.max(0, at - count), at + count)
          .map((member) => Buffer.from(member, 'latin1'));
      });
    },
    records: async (ids) => ids.map((id) => records.get(id.toString('latin1'))),
    async *all() {
      yield* records.values();
    },
  };
}

function lowerBound(members: readonly string[], key: string): number {
  let low = 0;
  let high = members.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (members[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
