import { createHash } from 'node:crypto';
import { PanamaxError, printable } from '../../errors.ts';
import type { Limits } from '../../limits.ts';

/** `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md; the only algorithm taken). */
export type Digest = `sha256:${string}`;

/** Points at a blob (OCI image-spec, descriptor.md). `size` is in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST.test(value);
}

/** @throws PanamaxError `bad-input` */
export function parseDigest(value: unknown, where: string): Digest {
  if (isDigest(value)) return value;
  throw new PanamaxError('bad-input', 'not a digest', {
    expected: 'sha256: and 64 hex digits',
    found: describe(value),
    where,
  });
}

/** The digest without its algorithm: names files and keys. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** @throws PanamaxError `bad-input` */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  const record = asRecord(value, where);
  return {
    mediaType: asString(record['mediaType'] ?? '', `${where}.mediaType`),
    digest: parseDigest(record['digest'], `${where}.digest`),
    size: asSize(record['size'], `${where}.size`),
    ...(record['platform'] === undefined ? {} : { platform: parsePlatform(record['platform'], where) }),
    ...(isStringMap(record['annotations']) ? { annotations: record['annotations'] } : {}),
  };
}

function parsePlatform(value: unknown, where: string): Platform {
  const record = asRecord(value, `${where}.platform`);
  return {
    os: asString(record['os'], `${where}.platform.os`),
    architecture: asString(record['architecture'], `${where}.platform.architecture`),
    ...(typeof record['variant'] === 'string' && record['variant'] ? { variant: record['variant'] } : {}),
  };
}

function isStringMap(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((v) => typeof v === 'string')
  );
}

/** @throws PanamaxError `limit`, for a document that is not to be read */
export function checkDocumentSize(size: number, { maxDocumentSize }: Limits, where: string): void {
  if (size <= maxDocumentSize) return;
  throw new PanamaxError('limit', 'document is over maxDocumentSize', {
    expected: `at most ${maxDocumentSize} bytes`,
    found: size,
    where,
  });
}

/**
 * Parses a JSON document from outside.
 * @throws PanamaxError `bad-input` for what is not UTF-8 or not JSON
 */
export function parseDocument(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new PanamaxError('bad-input', `not a JSON document: ${printable((error as Error).message)}`, {
      where,
    });
  }
}

/**
 * A document of ours that says its version.
 *
 * @param unknown what is said of another version
 * @throws PanamaxError `bad-input`
 */
export function parseVersioned(
  bytes: Uint8Array,
  version: number,
  unknown: string,
  where: string,
): Record<string, unknown> {
  return checkedVersion(parseDocument(bytes, where), version, unknown, where);
}

/** `parseVersioned` of a document that has been parsed. */
export function checkedVersion(
  document: unknown,
  version: number,
  unknown: string,
  where: string,
): Record<string, unknown> {
  const record = asRecord(document, where);
  if (record['version'] === version) return record;
  throw new PanamaxError('bad-input', unknown, {
    expected: version,
    found: JSON.stringify(record['version']),
    where,
  });
}

export function asRecord(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw unexpected('an object', value, where);
}

export function asArray(value: unknown, where: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw unexpected('an array', value, where);
}

export function asString(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw unexpected('a string', value, where);
}

/** A whole number of bytes or things, from 0 to 2^53 - 1. */
export function asSize(value: unknown, where: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw unexpected('a whole number from 0', value, where);
}

function unexpected(expected: string, value: unknown, where: string): PanamaxError {
  return new PanamaxError('bad-input', 'unexpected value', { expected, found: describe(value), where });
}

function describe(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 100);
}
