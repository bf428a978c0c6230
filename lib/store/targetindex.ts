import { sealDocument } from '../sealed.ts';
import * as v from 'valibot';
import type { FormatName } from '../delta/format.ts';
import { findFormat } from '../delta/formats.ts';
import { digestOf, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import { pullSize, type ImageRecord } from '../image/record.ts';
import { canBeExact } from '../image/write/imageblobs.ts';
import { asRecord, parseVersioned } from '../json.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { digestSchema, objectSchema, parseWith, sizeSchema } from '../schema.ts';
import {
  checkSource,
  imageIdentity,
  imageSchema,
  parsePatchDescriptor,
  sourceSchema,
  type ImageIdentity,
  type PatchDescriptor,
  type SourceIdentity,
} from './descriptor.ts';
import { onlySignatures, signedEntries, type Signed } from './key.ts';
import { keys } from './keys.ts';
import { isKey, type Store, type StoreReader } from './objects/store.ts';

export const INDEX_VERSION = 1;

/** The document that tells a site how to get a target (docs/formats.md). */
export interface TargetIndex extends IndexHead {
  /** Smallest first. Formats that are not known here are left out. */
  readonly patches: readonly PatchOffer[];
}

/** The part of an index that does not depend on the patches. */
export interface IndexHead {
  readonly target: ImageIdentity & {
    readonly platform: string;
    /** Whether the compression of every layer is known, so that a site can rebuild the manifest digest. */
    readonly isExact: boolean;
    /** The manifest, byte for byte. Proves that the config belongs to it. */
    readonly manifestDocument: string;
  };
  /** Bytes that a pull moves to an empty site. */
  readonly pullSize: number;
}

export interface PatchOffer extends Signed {
  readonly format: FormatName;
  readonly source: SourceIdentity;
  readonly key: string;
  readonly size: number;
  readonly digest: Digest;
  /** Bytes that a pull moves to a site that has the source. */
  readonly pullSize: number;
}

export function indexHead(target: ImageRecord): IndexHead {
  const { platform, manifestDocument } = target;
  const isExact = canBeExact(target);
  return {
    target: { ...imageIdentity(target), platform, isExact, manifestDocument },
    pullSize: pullSize(target),
  };
}

/**
 * Writes the index of a target from the descriptors of its pairs, smallest patch first. Any process may write it at any
 * time. It is written again until the descriptors before and after are the same, so that the last one of concurrent
 * writers includes every pair.
 */
export async function writeIndex(store: Store, head: IndexHead): Promise<void> {
  const { manifest } = head.target;
  const seen = new Set<string>();
  for (let before = await readPairs(store, manifest); ;) {
    const document = sealDocument(indexDocument(head, before), 2);
    const text = document.toString('latin1');
    if (seen.has(text)) return;
    seen.add(text);
    await store.put(keys.index(manifest), document);
    before = await readPairs(store, manifest);
  }
}

/**
 * @returns undefined for a target without an index
 * @throws PanamaxError `bad-input`, also for the index of another target
 */
export async function readIndex(store: StoreReader, target: Digest): Promise<TargetIndex | undefined> {
  const key = keys.index(target);
  const bytes = await store.get(key);
  return bytes && parseIndex(bytes, target, `${store.where} ${key}`);
}

const indexSchema = objectSchema({
  target: objectSchema({
    ...imageSchema.pipe[1].entries,
    platform: v.string(),
    isExact: v.optional(v.boolean(), false),
    manifestDocument: v.string(),
  }),
  pullSize: sizeSchema,
  // checked one by one: formats of later versions are skipped
  patches: v.array(v.unknown()),
});

const offerSchema = objectSchema({
  source: sourceSchema,
  key: v.custom<string>((value) => typeof value === 'string' && isKey(value), 'a store key'),
  size: sizeSchema,
  digest: digestSchema,
  pullSize: sizeSchema,
  ...signedEntries,
});

/** @throws PanamaxError `bad-input` */
export function parseIndex(bytes: Uint8Array, image: Digest, where: string): TargetIndex {
  const record = parseVersioned(bytes, INDEX_VERSION, 'unknown version of index', where);
  const { target, pullSize, patches } = parseWith(indexSchema, record, where);

  // the manifest has the digest that was asked for, and names the config
  const { manifestDocument } = target;
  const found = digestOf(manifestDocument);
  if (target.manifest !== image || found !== image) {
    throw new PanamaxError('bad-input', 'index of another image', { expected: image, found, where });
  }
  const document = Buffer.from(manifestDocument);
  const { config } = parseManifest(document, DEFAULT_LIMITS, `${where} target.manifestDocument`);
  if (config.digest !== target.config) {
    const facts = { expected: config.digest, found: target.config, where };
    throw new PanamaxError('bad-input', 'config of another image', facts);
  }
  const offers = patches.flatMap((item, i) => parseOffer(item, `${where} patches[${i}]`) ?? []);
  return { target, pullSize, patches: offers };
}

/** @returns undefined for a format that is not known here */
function parseOffer(item: unknown, where: string): PatchOffer | undefined {
  const format = findFormat(asRecord(item, where)['format']);
  if (!format) return undefined;
  const offer = parseWith(offerSchema, item, where);
  checkSource(offer.source, `${where} source`);
  return { format: format.name, ...offer };
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

/** Undefined for a damaged descriptor: the next job of its pair replaces it. */
function readPair(bytes: Uint8Array, where: string): PatchDescriptor | undefined {
  try {
    return parsePatchDescriptor(bytes, where);
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
      .map(({ format, source, patch, sizes, ...signed }) => ({
        format,
        source,
        key: keys.patch(target.manifest, source.manifest, format),
        ...patch,
        pullSize: sizes.pull,
        ...onlySignatures(signed),
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
