import { createHash } from 'node:crypto';
import { PanamaxError } from './errors.ts';

/**
 * Documents of the store end with a field `checksum`: the first 16 hex digits of the SHA-256 of the bytes before it,
 * without the comma. A flipped bit that leaves valid JSON is found by it. Documents of earlier versions have none.
 */

const FIELD = 'checksum';
const SIZE = 16;
const SEAL = new RegExp(`,?\\s*"${FIELD}":\\s*"([0-9a-f]{${SIZE}})"\\s*\\}\\s*$`);
/** Any field of the form of a checksum at the end. */
const LAST_FIELD = new RegExp(`"([^"]{${FIELD.length}})":\\s*"[^"]{${SIZE}}"\\s*\\}\\s*$`);
/** Bytes that a seal takes at most. */
const MAX_TAIL = 100;

/** The JSON of an object with its checksum, and a line feed. */
export function sealDocument(value: object, indent = 0): Buffer {
  const body = JSON.stringify(value, null, indent).slice(0, -1).trimEnd();
  const separator = body === '{' ? '' : ',';
  const [line, space, end] = indent > 0 ? [`\n${' '.repeat(indent)}`, ' ', '\n'] : ['', '', ''];
  return Buffer.from(`${body}${separator}${line}"${FIELD}":${space}"${checksumOf(body)}"${end}}\n`);
}

/** @throws PanamaxError `bad-input` for a document with a wrong checksum */
export function checkSeal(bytes: Uint8Array, where: string): void {
  const tail = Buffer.from(bytes.subarray(-MAX_TAIL)).toString('latin1');
  const seal = SEAL.exec(tail);
  if (seal) {
    const found = checksumOf(bytes.subarray(0, bytes.length - seal[0].length));
    if (found !== seal[1]) throw damaged(seal[1]!, found, where);
    return;
  }
  const name = LAST_FIELD.exec(tail)?.[1];
  const differences = name === undefined ? FIELD.length : differencesOf(name, FIELD);
  if (differences <= 1) throw damaged(FIELD, name!, where);
}

function checksumOf(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, SIZE);
}

/** Both are of the same length. */
function differencesOf(a: string, b: string): number {
  return a.split('').filter((character, i) => character !== b[i]).length;
}

function damaged(expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('bad-input', 'the document differs from its checksum', { expected, found, where });
}
