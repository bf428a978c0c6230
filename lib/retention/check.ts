import { checkSeal } from '../sealed.ts';
import { imageSketchOf, SKETCH_SIZE } from '../pairing/signature/imagesketch.ts';
import { parseLayer } from '../pairing/signature/storedlayer.ts';
import { parseSignature } from '../pairing/signature/stored.ts';
import { parseCalibrations } from '../pairing/calibration.ts';
import { parseRanking } from '../pairing/ranking.ts';
import { formatNames } from '../delta/formats.ts';
import { isDigest, type Digest } from '../digest.ts';
import { PanamaxError, toPanamaxError, type ErrorKind } from '../errors.ts';
import { verified } from '../image/blobs.ts';
import { parseReleaseName } from '../image/oci/releasename.ts';
import { parseAttachments } from '../store/attached/attachments.ts';
import { parseCompressionRecord } from '../store/compressions.ts';
import { parsePatchDescriptor, verifyPatch, type PatchDescriptor } from '../store/descriptor.ts';
import { onlySignatures, signaturesOf, type Verify } from '../store/key.ts';
import { keys } from '../store/keys.ts';
import { isPast, nameStatement, parseName, type NameRecord } from '../store/name.ts';
import { expiringAmong, type ExpiringName } from '../store/expiring.ts';
import { checkExpiry } from '../store/nametrust.ts';
import type { Store } from '../store/objects/store.ts';
import { parseIndex, type TargetIndex } from '../store/targetindex.ts';
import { checkRunDocument } from './checkruns.ts';

/** Something in a store that is not as it should be. */
export interface Fault {
  readonly key: string;
  /**
   * `damaged`: the object is not what its key says. `missing`: another object names it. `untrusted`: no trusted key has
   * signed it. `unreadable`: the store fails to read it. `unknown`: of a format of a later version. `expired`: a current
   * name that sites refuse until it is signed again.
   */
  readonly kind: 'damaged' | 'missing' | 'untrusted' | 'unreadable' | 'unknown' | 'expired';
  readonly what: string;
  /** The image that has to be enqueued to have the object again. */
  readonly target?: Digest;
}

export interface CheckReport {
  readonly faults: readonly Fault[];
  /** Keys of objects that nothing refers to; `gc` removes them. */
  readonly orphans: readonly string[];
  /** Number of objects by the first part of their key. */
  readonly objects: Readonly<Record<string, number>>;
  /** Sound names by their keys, past ones included. */
  readonly names: ReadonlyMap<string, NameRecord>;
  /** Current names that expire within a week, soonest first. */
  readonly expiring: readonly Omit<ExpiringName, 'isExpired'>[];
  /**
   * Current names of images without an index: `gc` has removed the patches, or none were made. They are no faults: sites
   * learn the digest from the name, and pull the image whole.
   */
  readonly unpatched: readonly {
    readonly name: string;
    readonly platform: string;
    readonly manifest: Digest;
  }[];
}

export interface CheckOptions {
  /** Reads patches, signatures and summaries of layers, too, and compares their digests. */
  readonly readData: boolean;
  readonly verify?: Verify;
  readonly signal: AbortSignal;
}

const PREFIXES = [
  'signatures',
  'sketches',
  'layers',
  'compressions',
  'pairings',
  'patches',
  'index',
  'attachments',
  'names',
  'runs',
];

/**
 * Checks all objects of a store. A fault of one object never keeps others from being checked.
 *
 * @throws PanamaxError `io` if the store cannot be listed; the reason of an abort
 */
export async function checkStore(store: Store, options: CheckOptions): Promise<CheckReport> {
  const { signal, readData, verify } = options;
  const faults: Fault[] = [];
  const orphans: string[] = [];
  const objects: Record<string, number> = {};
  const listed = new Set<string>();

  /** Runs a check of one object; an error is its fault. */
  const check = async <Found>(key: string, action: () => Promise<Found>): Promise<Found | undefined> => {
    signal.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      signal.throwIfAborted();
      const { kind, message } = toPanamaxError(error);
      if (kind === 'internal') throw error;
      const target = targetOf(key);
      faults.push({ key, kind: faultKind(kind), what: message, ...(target && { target }) });
      return undefined;
    }
  };
  const read = async (key: string): Promise<Buffer> => {
    const bytes = await store.get(key);
    if (bytes && key.endsWith('.json')) checkSeal(bytes, `${store.where} ${key}`);
    if (bytes) return bytes;
    throw new PanamaxError('not-found', 'no such object', { where: `${store.where} ${key}` });
  };
  const below = (prefix: string) => [...listed].filter((key) => key.startsWith(prefix));

  // 1. list all objects
  for (const prefix of PREFIXES) {
    for await (const key of store.list(`${prefix}/`)) {
      signal.throwIfAborted();
      listed.add(key);
      objects[prefix] = (objects[prefix] ?? 0) + 1;
    }
  }

  // 2. signatures and sketches: large, so read only on request
  for (const key of below(keys.signatures)) {
    const image = targetOf(key)!;
    const sketch = keys.sketch(image);
    const signature = await check(key, async () => {
      if (!readData) return undefined;
      const where = `${store.where} ${key}`;
      const found = await parseSignature(await read(key), where);
      checkSame('signature of another image', image, found.image.manifest, where);
      return found;
    });
    if (!signature || !listed.has(sketch)) continue;
    await check(sketch, async () => {
      if (imageSketchOf(signature).equals(await read(sketch))) return;
      throw new PanamaxError('bad-input', 'not the sketch of the signature', { where: sketch });
    });
  }
  for (const key of below('sketches/')) {
    const image = targetOf(key);
    if (!image || key !== keys.sketch(image)) continue;
    if (!listed.has(keys.signature(image))) orphans.push(key);
    await check(key, async () =>
      checkSame('size of a sketch', SKETCH_SIZE, (await store.stat(key))?.size, key),
    );
  }

  // 3. summaries of layers, compression records and rankings
  for (const key of below(keys.layers)) {
    const layer = digestIn(key);
    if (!readData || !layer || key !== keys.layer(layer)) continue;
    await check(key, async () => {
      const where = `${store.where} ${key}`;
      checkSame('summary of another layer', layer, (await parseLayer(await read(key), where)).diffID, where);
    });
  }
  for (const key of below(keys.compressions)) {
    const layer = digestIn(key);
    if (!layer || key !== keys.compression(layer)) continue;
    await check(key, async () => parseCompressionRecord(await read(key), `${store.where} ${key}`));
  }
  for (const key of below('pairings/')) {
    await check(key, async () => {
      const where = `${store.where} ${key}`;
      checkSame(
        'ranking of another image',
        targetOf(key)!,
        parseRanking(await read(key), where).target,
        where,
      );
    });
  }

  // 4. descriptors and their patches
  const pairs = new Map<string, PatchDescriptor>();
  const patches = below(keys.allPatches);
  const named = new Set<string>();
  for (const key of patches.filter((one) => one.endsWith('.json'))) {
    if (!formatNames().some((format) => key.endsWith(`.${format}.json`))) {
      faults.push({ key, kind: 'unknown', what: 'of a format that this version does not know' });
      for (const patch of patches) if (patch.startsWith(key.slice(0, -'.json'.length))) named.add(patch);
      continue;
    }
    const pair = await check(key, async () => readPair(key, await read(key), `${store.where} ${key}`));
    const patch = pair ? patchOf(pair) : patchBeside(key);
    named.add(patch);
    if (!pair) continue;
    pairs.set(key, pair);
    const { patch: stored, target } = pair;
    if (!stored) continue;
    if (verify) await check(key, async () => verifyPatch({ ...pair, patch: stored }, verify, key));
    if (!listed.has(patch)) {
      faults.push({ key: patch, kind: 'missing', what: `named by ${key}`, target: target.manifest });
      continue;
    }
    await check(patch, async () => {
      const where = `${store.where} ${patch}`;
      checkSame('size of the patch', stored.size, (await store.stat(patch))?.size, where);
      if (readData) for await (const _ of verified(await store.open(patch), stored, where));
    });
  }
  for (const key of patches) if (!key.endsWith('.json') && !named.has(key)) orphans.push(key);

  // 5. indexes: each agrees with the descriptors
  const indexed = new Set<Digest>();
  for (const key of below('index/')) {
    const target = targetOf(key);
    if (!target) continue;
    indexed.add(target);
    await check(key, async () => {
      const where = `${store.where} ${key}`;
      const index = parseIndex(await read(key), target, where);
      if (verify)
        for (const offer of index.patches)
          verifyPatch({ ...offer, target: index.target, patch: offer }, verify, where);
      checkOffers(
        index,
        [...pairs.values()].filter((pair) => pair.target.manifest === target),
        where,
      );
    });
  }
  for (const target of new Set([...pairs.values()].map((pair) => pair.target.manifest))) {
    if (indexed.has(target)) continue;
    faults.push({ key: keys.index(target), kind: 'missing', what: 'descriptors have no index', target });
  }

  for (const key of below(keys.allAttachments)) {
    const target = targetOf(key);
    if (!target) continue;
    if (!indexed.has(target) && !listed.has(keys.signature(target))) orphans.push(key);
    await check(key, async () => parseAttachments(await read(key), target, `${store.where} ${key}`));
  }

  // 6. names
  const names = new Map<string, NameRecord>();
  for (const key of below(keys.names)) {
    await check(key, async () => {
      const record = readNameOf(key, await read(key), `${store.where} ${key}`);
      names.set(key, record);
      verify?.(nameStatement(record), record, `${store.where} ${key}`);
      if (!isPast(key)) checkExpiry(record, `${store.where} ${key}`);
    });
  }
  const current = [...names].filter(([key]) => !isPast(key)).map(([, record]) => record);
  const unpatched = current
    .filter(({ target }) => !indexed.has(target.manifest))
    .map(({ name, platform, target: { manifest } }) => ({ name, platform, manifest }));

  // 7. the records of runs, and the calibration
  for (const key of below('runs/')) {
    await check(key, async () => checkRunDocument(key, await read(key), `${store.where} ${key}`));
  }
  await check(keys.calibration, async () => {
    const bytes = await store.get(keys.calibration);
    if (bytes) parseCalibrations(bytes, `${store.where} ${keys.calibration}`);
  });
  const expiring = expiringAmong(current).flatMap(({ isExpired, ...name }) => (isExpired ? [] : [name]));
  return { faults, orphans, objects, names, expiring, unpatched };
}

function faultKind(kind: ErrorKind): Fault['kind'] {
  if (kind === 'untrusted' || kind === 'expired') return kind;
  if (kind === 'io') return 'unreadable';
  return kind === 'not-found' ? 'missing' : 'damaged';
}

/** The first digest in a key. */
function digestIn(key: string): Digest | undefined {
  const digest = `sha256:${/\/sha256-([0-9a-f]{64})(?=[./]|$)/.exec(key)?.[1]}`;
  return isDigest(digest) ? digest : undefined;
}

/** The image that an object belongs to. */
export function targetOf(key: string): Digest | undefined {
  return /^(signatures|sketches|pairings|patches|index|attachments)\//.test(key) ? digestIn(key) : undefined;
}

function checkSame(
  what: string,
  expected: string | number,
  found: string | number | undefined,
  where: string,
) {
  if (found === expected) return;
  throw new PanamaxError('bad-input', what, { expected, found: found ?? 'nothing', where });
}

const patchOf = ({ target, source, format }: PatchDescriptor) =>
  keys.patch(target.manifest, source.manifest, format);

/** The patch of a descriptor's key. */
export function patchBeside(key: string): string {
  const [, target, source, format] = /^patches\/sha256-(\w+)\/sha256-(\w+)\.(.+)\.json$/.exec(key) ?? [];
  return keys.patch(`sha256:${target}`, `sha256:${source}`, format!);
}

function readPair(key: string, bytes: Buffer, where: string): PatchDescriptor {
  const pair = parsePatchDescriptor(bytes, where);
  const { target, source, format } = pair;
  checkSame(
    'descriptor of another pair',
    key,
    keys.descriptor(target.manifest, source.manifest, format),
    where,
  );
  return pair;
}

/** The index offers exactly the patches of the descriptors. */
function checkOffers(index: TargetIndex, pairs: readonly PatchDescriptor[], where: string): void {
  const offered = new Set(index.patches.map(offerOf));
  for (const pair of pairs) {
    const { patch, source, sizes, target } = pair;
    for (const field of ['config', 'layers', 'size'] as const) {
      checkSame(`${field} of the target`, target[field], index.target[field], where);
    }
    if (!patch) continue;
    const key = patchOf(pair);
    const expected = offerOf({
      format: pair.format,
      key,
      source,
      ...patch,
      pullSize: sizes.pull,
      ...onlySignatures(pair),
    });
    if (!offered.delete(expected)) {
      throw new PanamaxError('bad-input', 'the index does not offer the patch of a descriptor', {
        expected: key,
        where,
      });
    }
  }
  const [other] = offered;
  if (other === undefined) return;
  throw new PanamaxError('bad-input', 'the index offers a patch without a sound descriptor', {
    found: other,
    where,
  });
}

/** The fields of an offer that a descriptor determines, as text to compare. */
function offerOf({ key, size, digest, pullSize, source, ...signed }: TargetIndex['patches'][number]): string {
  return JSON.stringify([key, size, digest, pullSize, source, signaturesOf(signed)]);
}

function readNameOf(key: string, bytes: Buffer, where: string): NameRecord {
  const record = parseName(bytes, where);
  const { repository, tag } = parseReleaseName(record.name);
  const expected = isPast(key)
    ? keys.pastName(repository, tag!, record.platform, record.sequence)
    : keys.name(repository, tag!, record.platform);
  checkSame('record of another name', key, expected, where);
  return record;
}
