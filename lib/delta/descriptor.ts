import { asRecord, asSize, parseDigest, parseDocument, type Digest } from '../oci/descriptor.ts';
import { PanamaxError } from '../errors.ts';
import type { PatchFormat } from '../store/layout.ts';
import { EFFORTS, type Effort } from './alignment.ts';

/** What the store says of one pair: a patch, or that a pull is as good (docs/formats.md). */
export interface PatchDescriptor {
  readonly format: PatchFormat;
  /** How much work went into it. */
  readonly effort: Effort;
  readonly source: ImageName;
  readonly target: ImageName;
  /** Undefined where a pull moves no more than the patch would: then there is none. */
  readonly patch?: { readonly size: number; readonly digest: Digest };
  /** In bytes, for the audit of the ranking. */
  readonly sizes: {
    readonly predicted: number;
    /** Of the patch as it was made, published or not. */
    readonly actual: number;
    /** What a pull moves at a site that has the source, layers that both share left out. */
    readonly pull: number;
  };
}

export interface ImageName {
  readonly manifest: Digest;
  /** The image ID. */
  readonly config: Digest;
}

export const DESCRIPTOR_VERSION = 1;

export function serializeDescriptor(descriptor: PatchDescriptor): Buffer {
  return Buffer.from(`${JSON.stringify({ version: DESCRIPTOR_VERSION, ...descriptor }, null, 2)}\n`);
}

/** @throws PanamaxError `bad-input` */
export function parseDescriptor(bytes: Uint8Array, where: string): PatchDescriptor {
  const record = asRecord(parseDocument(bytes, where), where);
  const { version, format, effort } = record;
  const isKnown = version === DESCRIPTOR_VERSION && (format === 'xdelta' || format === 'oci-delta');
  if (!isKnown || !EFFORTS.includes(effort as Effort)) {
    throw new PanamaxError('bad-input', 'unknown kind of descriptor', {
      expected: `version ${DESCRIPTOR_VERSION}, format xdelta or oci-delta, effort ${EFFORTS.join(' or ')}`,
      found: JSON.stringify({ version, format, effort }),
      where,
    });
  }
  const sizes = asRecord(record['sizes'], `${where} sizes`);
  return {
    format,
    effort: effort as Effort,
    source: parseName(record['source'], `${where} source`),
    target: parseName(record['target'], `${where} target`),
    ...(record['patch'] === undefined ? {} : { patch: parsePatch(record['patch'], `${where} patch`) }),
    sizes: {
      predicted: asSize(sizes['predicted'], `${where} sizes.predicted`),
      actual: asSize(sizes['actual'], `${where} sizes.actual`),
      pull: asSize(sizes['pull'], `${where} sizes.pull`),
    },
  };
}

function parseName(value: unknown, where: string): ImageName {
  const record = asRecord(value, where);
  return { manifest: parseDigest(record['manifest'], where), config: parseDigest(record['config'], where) };
}

function parsePatch(value: unknown, where: string): { size: number; digest: Digest } {
  const record = asRecord(value, where);
  return {
    size: asSize(record['size'], `${where} size`),
    digest: parseDigest(record['digest'], `${where} digest`),
  };
}
