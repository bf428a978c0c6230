import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { digestOf, hexOf, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import { formatPlatform, parsePlatformOption } from '../image/oci/platform.ts';
import { objectSchema, parseWith, sizeSchema, type Checked } from '../schema.ts';
import { effortSchema, formatSchema } from './schemas.ts';

/**
 * Runs of version 1 have a document for each pair, and one for all rankings. They are read, but not continued.
 */
const RUN_VERSION = 2;
const EARLIER_VERSION = 1;
/** References in one document of a request at most. */
const PAGE_SIZE = 50_000;

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
  version: v.picklist([EARLIER_VERSION, RUN_VERSION]),
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
  /** Number of pages that `targets` and `residents` go on in. */
  pages: v.exactOptional(sizeSchema),
});

/** More targets, and more images of the sets, by their index in `residents`. */
const pageSchema = objectSchema({
  targets: v.array(v.string()),
  images: v.array(objectSchema({ set: sizeSchema, images: v.array(v.string()) })),
});
type RequestPage = Checked<typeof pageSchema>;

/** The inputs of a run; stored as `runs/<id>/run.json` (docs/formats.md). */
export type RunRequest = Omit<Checked<typeof requestSchema>, 'version' | 'pages'> & {
  /** Begun by an earlier version of panamax. */
  readonly isEarlier?: true;
};

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

/** Compares all but the runs' names and start times. A run of an earlier version is not the same. */
export function isSameRequest(a: RunRequest, b: RunRequest): boolean {
  const inputs = (request: RunRequest) => ({ ...request, id: '', started: '' });
  return isDeepStrictEqual(inputs(a), inputs(b));
}

/** Refuses to continue a run that an earlier version has begun. */
export function earlierRun(id: string): PanamaxError {
  return new PanamaxError('usage', 'an earlier version of panamax has begun the run', {
    expected: 'another name for the run: finished items are skipped',
    found: id,
  });
}

/** Digits of each image in the item of a pair. */
const IMAGE_DIGITS = 8;

/** Names an item within a run: 128 bits of a digest of its parts. */
export function itemId(...parts: readonly string[]): string {
  return hexOf(digestOf(parts.join('\n'))).slice(0, 32);
}

export const items = {
  signature: (reference: string, platform?: Platform) =>
    itemId(reference, platform ? formatPlatform(platform) : ''),
  pairing: (target: Digest, scope: string) => itemId(target, scope),
  /** Begins with digits of the source, then of the target: pairs of one source are listed side by side. */
  delta: (target: Digest, source: Digest) =>
    [source, target].map((image) => hexOf(image).slice(0, IMAGE_DIGITS)).join('') +
    itemId(target, source).slice(2 * IMAGE_DIGITS),
};

/** The digits of a pair's item that tell its source, and those of its target. */
export function imagesOfPair(item: string): [source: string, target: string] {
  return [item.slice(0, IMAGE_DIGITS), item.slice(IMAGE_DIGITS, 2 * IMAGE_DIGITS)];
}

/** The documents of a request: a head that holds all of a small one, and pages that it goes on in. */
export function splitRequest({ platform, targets, residents, ...request }: RunRequest): {
  readonly head: object;
  readonly pages: readonly RequestPage[];
} {
  const isSmall = targets.length + residents.reduce((sum, { images }) => sum + images.length, 0) <= PAGE_SIZE;
  const pages: RequestPage[] = isSmall ? [] : pagesOf(targets, residents);
  const head = {
    version: RUN_VERSION,
    ...request,
    targets: isSmall ? targets : [],
    residents: isSmall ? residents : residents.map((set) => ({ ...set, images: [] })),
    ...(platform && { platform: formatPlatform(platform) }),
    ...(!isSmall && { pages: pages.length }),
  };
  return { head, pages };
}

function pagesOf(targets: readonly string[], residents: readonly ResidentSet[]): RequestPage[] {
  const pages: RequestPage[] = [];
  for (let at = 0; at < targets.length; at += PAGE_SIZE)
    pages.push({ targets: targets.slice(at, at + PAGE_SIZE), images: [] });
  let images: { set: number; images: readonly string[] }[] = [];
  let size = 0;
  const flush = () => {
    if (images.length > 0) pages.push({ targets: [], images });
    [images, size] = [[], 0];
  };
  for (const [set, { images: all }] of residents.entries()) {
    for (let at = 0; at < all.length; at += PAGE_SIZE) {
      const some = all.slice(at, at + PAGE_SIZE);
      if (size + some.length > PAGE_SIZE) flush();
      images.push({ set, images: some });
      size += some.length;
    }
  }
  flush();
  return pages;
}

/** The request of a head and its pages. Equal references are one string. */
export function joinRequest(head: RunRequest, pages: readonly RequestPage[]): RunRequest {
  if (pages.length === 0) return head;
  const known = new Map<string, string>();
  const shared = (reference: string) => {
    const found = known.get(reference);
    if (found === undefined) known.set(reference, reference);
    return found ?? reference;
  };
  const targets: string[] = [];
  const members: string[][] = head.residents.map(() => []);
  for (const page of pages) {
    for (const reference of page.targets) targets.push(shared(reference));
    for (const { set, images } of page.images)
      for (const reference of images) members[set]?.push(shared(reference));
  }
  return { ...head, targets, residents: head.residents.map((set, i) => ({ ...set, images: members[i]! })) };
}

/** @throws PanamaxError `bad-input` for a damaged document or one of a later version */
export function parseRequest(bytes: Uint8Array, where: string): RunRequest & { readonly pages: number } {
  const { version, pages = 0, ...request } = parseWith(requestSchema, bytes, where);
  return { ...request, pages, ...(version === EARLIER_VERSION && { isEarlier: true as const }) };
}

/** @throws PanamaxError `bad-input` */
export function parseRequestPage(bytes: Uint8Array, where: string): RequestPage {
  return parseWith(pageSchema, bytes, where);
}
