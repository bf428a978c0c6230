import { createReadStream, existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { formatReference, isHosted, splitTransport } from '../../lib/image/oci/reference.ts';

/** Image references in one run. */
const MAX_REFERENCES = 1_000_000;

/**
 * Reads references from a file, or from standard input if the path is `-`: one per line. Empty lines and lines that
 * begin with `#` are skipped.
 *
 * @throws PanamaxError `not-found`, `io`, `limit`
 */
export async function readReferences(path: string): Promise<string[]> {
  const input = path === '-' ? process.stdin : createReadStream(path);
  const references: string[] = [];
  try {
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) continue;
      references.push(text);
      if (references.length > MAX_REFERENCES) {
        throw new PanamaxError('limit', 'too many references', {
          expected: `at most ${MAX_REFERENCES}`,
          where: path,
        });
      }
    }
  } catch (error) {
    throw toPanamaxError(error, path);
  }
  return references;
}

/** Writes a name with a host as `docker://HOST/NAME`, unless a file has this path. Other references are kept. */
export function spelledOut(text: string): string {
  return isHosted(text) && !existsSync(text) ? `docker://${text}` : text;
}

/** Makes the path of a reference absolute, since workers run in other directories. Names are spelled out. */
export function absoluteReference(given: string): string {
  const text = spelledOut(given);
  if (/^(oci|oci-archive|docker-archive):/.test(text)) {
    const reference = splitTransport(text)!;
    return formatReference({ ...reference, path: resolve(reference.path) });
  }
  return /^[a-z][a-z-]+:/.test(text) ? text : resolve(text);
}
