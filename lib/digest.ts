import { createHash } from 'node:crypto';
import { PanamaxError } from './errors.ts';
import { describe } from './json.ts';

/** `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md). Other algorithms are refused. */
export type Digest = `sha256:${string}`;

export const DIGEST = /^sha256:[0-9a-f]{64}$/;

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

/** The hex digits of a digest, for names of files and keys. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** The sha256 of bytes, or of a string as UTF-8. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
