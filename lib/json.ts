import { PanamaxError, printable } from './errors.ts';
import type { Limits } from './limits.ts';

/** @throws PanamaxError `limit` if a document exceeds `maxDocumentSize` */
export function checkDocumentSize(size: number, { maxDocumentSize }: Limits, where: string): void {
  if (size <= maxDocumentSize) return;
  throw new PanamaxError('limit', 'document is over maxDocumentSize', {
    expected: `at most ${maxDocumentSize} bytes`,
    found: size,
    where,
  });
}

/** @throws PanamaxError `bad-input` if the bytes are not JSON in UTF-8 */
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
 * Parses a document of this project, which has a `version`.
 *
 * @param unknown the error message for any other version
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

/** Like `parseVersioned`, for a parsed document. */
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

/** An integer from 0 to 2^53 - 1. */
export function asSize(value: unknown, where: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw unexpected('a whole number from 0', value, where);
}

/** An integer whose absolute value is below 2^53. */
export function asInteger(value: unknown, where: string): number {
  if (Number.isSafeInteger(value)) return value as number;
  throw unexpected('a whole number', value, where);
}

export function unexpected(expected: string, value: unknown, where: string): PanamaxError {
  return new PanamaxError('bad-input', 'unexpected value', { expected, found: describe(value), where });
}

/** A value as JSON, shortened to 100 characters for a message. */
export function describe(value: unknown): string {
  // a number such as 1e400 is read as infinite, which JSON has no word for
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return (text ?? String(value)).slice(0, 100);
}
