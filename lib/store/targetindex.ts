import type { FormatName } from '../delta/format.ts';
import { findFormat } from '../delta/formats.ts';
import { digestOf, parseDigest, type Digest } from '../digest.ts';
import { asArray, asRecord, asSize, asString, parseVersioned } from '../json.ts';
import {
  parseDescriptor,
  imageName,
  parseImageName,
  parseSourceName,
  type ImageName,
  type PatchDescriptor,
  type SourceName,
} from './descriptor.ts';
import { PanamaxError } from '../errors.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import { canBeExact } from '../image/write/imageblobs.ts';
import { pullSize, type ImageRecord } from '../image/record.ts';
import { parseSignature, type Signature } from './key.ts';
import { keys } from './keys.ts';
import { isKey, type Store, type StoreReader } from './objects/store.ts';

export const INDEX_VERSION = 1;

/** What a site reads of a target (docs/formats.md). */
export interface TargetIndex extends IndexHead {
  /** Smallest first; only those of formats that are known. */
  readonly patches: readonly PatchOffer[];
}

/** The part of an index that does not change with the patches on offer. */
export interface IndexHead {
  readonly target: ImageName & {
    readonly platform: string;
    /** Whether all layers' compressions are known, so that the manifest digest can be kept. */
    readonly isExact: boolean;
    /** The manifest, byte for byte: proves that the config is its own. */
    readonly manifestDocument: string;
  };
  /** What a pull moves at a site that has nothing. In bytes, as all sizes. */
  readonly pullSize: number;
}

export interface PatchOffer {
  readonly format: FormatName;
  readonly source: SourceName;
  readonly key: string;
  readonly size: number;
  readonly digest: Digest;
  /** What a pull moves at a site that has the source. */
  readonly pullSize: number;
  readonly signature?: Signature;
}

export function indexHead(target: ImageRecord): IndexHead {
  const { platform, manifestDocument } = target;
  const isExact = canBeExact(target);
  return {
    target: { ...imageName(target), platform, isExact, manifestDocument },
    pullSize: pullSize(target),
  };
}

/**
 * Writes what a site reads of a target: every pair of it that the store knows, smallest patch first. Derived
 * from the descriptors alone, so it can be written at any time by anybody; written again until the descriptors
 * read before and after are the same, so that of two writers at once the last one has it all.
 */
export async function writeIndex(store: Store, head: IndexHead): Promise<void> {
  const { manifest } = head.target;
  const seen = new Set<string>();
  for (let before = await readPairs(store, manifest); ;) {
    const text = JSON.stringify(indexDocument(head, before), null, 2);
    if (seen.has(text)) return;
    seen.add(text);
    await store.put(keys.index(manifest), Buffer.from(`${text}\n`));
    before = await readPairs(store, manifest);
  }
}

/** Undefined where there is none. @throws PanamaxError `bad-input`, also for an index of another target */
export async function readIndex(store: StoreReader, target: Digest): Promise<TargetIndex | undefined> {
  const key = keys.index(target);
  const bytes = await store.get(key);
  return bytes && parseIndex(bytes, target, `${store.where} ${key}`);
}

function parseIndex(bytes: Uint8Array, target: Digest, where: string): TargetIndex {
  const record = parseVersioned(bytes, INDEX_VERSION, 'unknown version of index', where);
  const head = asRecord(record['target'], `${where} target`);
  const named = parseImageName(head, `${where} target`);
  const manifestDocument = asString(head['manifestDocument'], `${where} manifestDocument`);
  const found = digestOf(manifestDocument);
  if (named.manifest !== target || found !== target) {
    throw new PanamaxError('bad-input', 'index of another image', { expected: target, found, where });
  }
  const { config } = parseManifest(
    Buffer.from(manifestDocument),
    DEFAULT_LIMITS,
    `${where} manifestDocument`,
  );
  if (config.digest !== named.config) {
    const facts = { expected: config.digest, found: named.config, where };
    throw new PanamaxError('bad-input', 'config of another image', facts);
  }
  const platform = asString(head['platform'], `${where} platform`);
  return {
    target: { ...named, platform, isExact: head['isExact'] === true, manifestDocument },
    pullSize: asSize(record['pullSize'], `${where} pullSize`),
    patches: asArray(record['patches'], `${where} patches`).flatMap((item, i) =>
      parseOffer(asRecord(item, `${where} patches[${i}]`), `${where} patches[${i}]`),
    ),
  };
}

function parseOffer(record: Record<string, unknown>, where: string): PatchOffer[] {
  const known = findFormat(record['format']);
  if (!known) return [];
  const key = asString(record['key'], `${where} key`);
  if (!isKey(key)) throw new PanamaxError('bad-input', 'not a store key', { found: key, where });
  const signature = parseSignature(record['signature'], where);
  return [
    {
      format: known.name,
      source: parseSourceName(record['source'], `${where} source`),
      key,
      size: asSize(record['size'], `${where} size`),
      digest: parseDigest(record['digest'], `${where} digest`),
      pullSize: asSize(record['pullSize'], `${where} pullSize`),
      ...(signature && { signature }),
    },
  ];
}

async function readPairs(store: Store, target: Digest): Promise<PatchDescriptor[]> {
  const pairs: PatchDescriptor[] = [];
  for await (const key of store.list(keys.patches(target))) {
    if (!key.endsWith('.json')) continue;
    const bytes = await store.get(key);
    const pair = bytes && readPair(bytes, `${store.where} ${key}`);
    if (pair) pairs.push(pair);
  }
  return pairs.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** A damaged descriptor hides its own pair only; the pair's next job makes it anew. */
function readPair(bytes: Uint8Array, where: string): PatchDescriptor | undefined {
  try {
    return parseDescriptor(bytes, where);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

function order({ sizes, source, format }: PatchDescriptor): string {
  return `${String(sizes.actual).padStart(16, '0')} ${source.manifest} ${format}`;
}

function indexDocument({ target, pullSize }: IndexHead, pairs: readonly PatchDescriptor[]): object {
  return {
    version: INDEX_VERSION,
    target,
    pullSize,
    patches: pairs
      .filter((pair) => pair.patch)
      .map(({ format, source, patch, sizes, signature }) => ({
        format,
        source,
        key: keys.patch(target.manifest, source.manifest, format),
        ...patch,
        pullSize: sizes.pull,
        ...(signature && { signature }),
      })),
    pull: pairs
      .filter((pair) => !pair.patch)
      .map(({ format, source, sizes }) => ({
        format,
        source,
        patchSize: sizes.actual,
        pullSize: sizes.pull,
      })),
  };
}
