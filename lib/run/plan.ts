import type { FormatName } from '../delta/format.ts';
import { findFormat } from '../delta/formats.ts';
import { digestOf, hexOf, type Digest } from '../digest.ts';
import { asArray, asRecord, asSize, asString, parseDocument } from '../json.ts';
import { randomBytes } from 'node:crypto';
import { EFFORTS, type Effort } from '../delta/align/alignment.ts';
import { PanamaxError } from '../errors.ts';
import { type Platform } from '../image/oci/descriptor.ts';
import { formatPlatform, parsePlatformOption } from '../image/oci/platform.ts';

/** What a run was asked to do; stored as `runs/<id>/run.json` (docs/formats.md). */
export interface RunPlan {
  readonly id: string;
  readonly started: string;
  /** References of the images that sites want. */
  readonly targets: readonly string[];
  /** The sets of images that patches may start from; each target is paired within each of them. */
  readonly residents: readonly ResidentSet[];
  readonly platform?: Platform;
  /** How many of the best sources get a patch, for each target and set. */
  readonly top: number;
  readonly formats: readonly FormatName[];
  readonly effort: Effort;
  /** Whether sources get a patch, too, that are not expected to be worth it. */
  readonly force?: true;
  /** Whether patches are put beside their targets in registries, too. */
  readonly publish?: true;
}

export interface ResidentSet {
  /** References. */
  readonly images: readonly string[];
  /**
   * The sites that hold exactly these images, of an inventory. Where they hold a target already, they need no patch
   * to it; without sites the images are candidates, and a target among them is passed over.
   */
  readonly sites?: readonly string[];
  /** Whether each site has all of the images, as those of an inventory do: several of them may be one source. */
  readonly together?: true;
}

const RUN_VERSION = 1;
const RUN_ID = /^[A-Za-z0-9][\w.-]{0,63}$/;

/** A new run's name: when it was begun, and something that no other has. */
export function newRunId(started: Date): string {
  return `${started.toISOString().replace(/[:.]/g, '-')}-${randomBytes(3).toString('hex')}`;
}

/** @throws PanamaxError `usage` */
export function checkRunId(id: string): string {
  if (RUN_ID.test(id)) return id;
  throw new PanamaxError('usage', 'not a name of a run', {
    expected: 'up to 64 letters, digits, dots, dashes and underscores',
    found: id,
  });
}

/** Every image that has to be read, once. */
export function imagesOf(plan: RunPlan): string[] {
  return [...new Set([...plan.targets, ...plan.residents.flatMap(({ images }) => images)])];
}

/** Equal for plans that ask for the same. */
export function sameQuestion(a: RunPlan, b: RunPlan): boolean {
  const question = (plan: RunPlan) => JSON.stringify(toDocument({ ...plan, id: '', started: '' }));
  return question(a) === question(b);
}

const SOURCE_DIGITS = 8;

/** Names a thing within a run: 128 bits of what it is made of. */
export function itemId(...parts: readonly string[]): string {
  return hexOf(digestOf(parts.join('\n'))).slice(0, 32);
}

export const items = {
  signature: (reference: string, platform?: Platform) =>
    itemId(reference, platform ? formatPlatform(platform) : ''),
  pairing: (target: Digest, scope: string) => itemId(target, scope),
  /** Begins with the source, so that pairs which share one can be told, and are listed side by side. */
  delta: (target: Digest, source: Digest) =>
    hexOf(source).slice(0, SOURCE_DIGITS) + itemId(target, source).slice(SOURCE_DIGITS),
};

export function serializePlan(plan: RunPlan): Buffer {
  return Buffer.from(`${JSON.stringify({ version: RUN_VERSION, ...toDocument(plan) })}\n`);
}

function toDocument({ platform, ...plan }: RunPlan): object {
  return {
    ...plan,
    ...(platform ? { platform: formatPlatform(platform) } : {}),
  };
}

/** @throws PanamaxError `bad-input` for a damaged document or one of another version */
export function parsePlan(bytes: Uint8Array, where: string): RunPlan {
  const record = asRecord(parseDocument(bytes, where), where);
  const formats = texts(record['formats'], `${where} formats`);
  const effort = EFFORTS.find((known) => known === record['effort']);
  if (record['version'] !== RUN_VERSION || !effort || !formats.every(findFormat)) {
    throw new PanamaxError('bad-input', 'unknown kind of run', {
      expected: `version ${RUN_VERSION}, efforts and formats that are known`,
      found: JSON.stringify({ version: record['version'], effort: record['effort'], formats }),
      where,
    });
  }
  return {
    id: asString(record['id'], `${where} id`),
    started: asString(record['started'], `${where} started`),
    targets: texts(record['targets'], `${where} targets`),
    residents: asArray(record['residents'], `${where} residents`).map((value) => {
      const set = asRecord(value, `${where} residents`);
      return {
        images: texts(set['images'], `${where} images`),
        ...(set['sites'] === undefined ? {} : { sites: texts(set['sites'], `${where} sites`) }),
        ...(set['together'] === true ? { together: true } : {}),
      };
    }),
    ...(record['platform'] === undefined
      ? {}
      : { platform: parsePlatformOption(asString(record['platform'], `${where} platform`)) }),
    top: asSize(record['top'], `${where} top`),
    formats,
    effort,
    ...(record['force'] === true ? { force: true } : {}),
    ...(record['publish'] === true ? { publish: true } : {}),
  };
}

function texts(value: unknown, where: string): string[] {
  return asArray(value, where).map((item) => asString(item, where));
}
