import { sealDocument } from '../sealed.ts';
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { digestOf, hexOf, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import { formatPlatform, parsePlatformOption } from '../image/oci/platform.ts';
import { objectSchema, parseWith, sizeSchema, type Checked } from '../schema.ts';
import { effortSchema, formatSchema } from './schemas.ts';

const RUN_VERSION = 1;
const RUN_ID = /^[A-Za-z0-9][\w.-]{0,63}$/;

const residentSetSchema = objectSchema({
  /** References. */
  images: v.array(v.string()),
  /**
   * The sites of an inventory that hold exactly these images. A site that holds a target needs no patch to it. Without
   * sites the images are candidates, and a target among them is not its own source.
   */
  sites: v.exactOptional(v.array(v.string())),
  /** Each site has all of the images, as in an inventory, so that several of them may be one source. */
  together: v.exactOptional(v.literal(true)),
});

/** A set of images that patches may start from. */
export type ResidentSet = Checked<typeof residentSetSchema>;

const platformSchema = v.pipe(
  v.string(),
  v.rawTransform<string, Platform>(({ dataset, addIssue, NEVER }) => {
    try {
      return parsePlatformOption(dataset.value);
    } catch {
      addIssue({ message: 'os/architecture[/variant]' });
      return NEVER;
    }
  }),
);

/** From the first to the last. */
export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

const requestSchema = objectSchema({
  version: v.literal(RUN_VERSION),
  id: v.string(),
  started: v.string(),
  /** References of the images that sites want. */
  targets: v.array(v.string()),
  /** Each target is paired within each of these sets. */
  residents: v.array(residentSetSchema),
  platform: v.exactOptional(platformSchema),
  /** Number of sources that get a patch, the best first, for each target and set. */
  top: sizeSchema,
  formats: v.array(formatSchema),
  effort: effortSchema,
  /** Also makes patches that are not expected to be smaller than a pull. */
  force: v.exactOptional(v.literal(true)),
  /** No patch leads from a release to an earlier one. */
  forward: v.exactOptional(v.literal(true)),
  /** Also publishes patches beside their targets in registries. */
  publish: v.exactOptional(v.literal(true)),
  /** Of the jobs, within each stage; `normal` if it is missing. */
  priority: v.exactOptional(v.picklist(['high', 'low'])),
});

/** The inputs of a run; stored as `runs/<id>/run.json` (docs/formats.md). */
export type RunRequest = Omit<Checked<typeof requestSchema>, 'version'>;

/** A new run's name: its start, and random digits that keep it unique. */
export function newRunId(started: Date): string {
  return `${started.toISOString().replace(/[:.]/g, '-')}-${randomBytes(3).toString('hex')}`;
}

export function isRunId(id: string): boolean {
  return RUN_ID.test(id);
}

/** @throws PanamaxError `usage` */
export function checkRunId(id: string): string {
  if (isRunId(id)) return id;
  throw new PanamaxError('usage', 'not a name of a run', {
    expected: 'up to 64 letters, digits, dots, dashes and underscores',
    found: id,
  });
}

/** References of all images that have to be read, each once. */
export function imagesOf(request: Pick<RunRequest, 'targets' | 'residents'>): string[] {
  return [...new Set([...request.targets, ...request.residents.flatMap(({ images }) => images)])];
}

/** Compares all but the runs' names and start times. */
export function isSameRequest(a: RunRequest, b: RunRequest): boolean {
  const inputs = (request: RunRequest) => ({ ...request, id: '', started: '' });
  return isDeepStrictEqual(inputs(a), inputs(b));
}

const SOURCE_DIGITS = 8;

/** Names an item within a run: 128 bits of a digest of its parts. */
export function itemId(...parts: readonly string[]): string {
  return hexOf(digestOf(parts.join('\n'))).slice(0, 32);
}

export const items = {
  signature: (reference: string, platform?: Platform) =>
    itemId(reference, platform ? formatPlatform(platform) : ''),
  pairing: (target: Digest, scope: string) => itemId(target, scope),
  /** Begins with digits of the source, so that pairs of one source are recognized and listed side by side. */
  delta: (target: Digest, source: Digest) =>
    hexOf(source).slice(0, SOURCE_DIGITS) + itemId(target, source).slice(SOURCE_DIGITS),
};

export function serializeRequest(request: RunRequest): Buffer {
  return sealDocument({ version: RUN_VERSION, ...toDocument(request) });
}

function toDocument({ platform, ...request }: RunRequest): object {
  return {
    ...request,
    ...(platform ? { platform: formatPlatform(platform) } : {}),
  };
}

/** @throws PanamaxError `bad-input` for a damaged document or one of another version */
export function parseRequest(bytes: Uint8Array, where: string): RunRequest {
  const { version: _, ...request } = parseWith(requestSchema, bytes, where);
  return request;
}
