/** Reads small tars into memory. */
import assert from 'node:assert/strict';
import { PanamaxError, type ErrorKind } from '../../lib/errors.ts';
import { DEFAULT_LIMITS, type Limits } from '../../lib/limits.ts';
import type { TarEntry } from '../../lib/image/tar/entry.ts';
import { scanTar, type Chunks } from '../../lib/image/tar/scan.ts';
import { writeTar, type TarFixture } from './tar.ts';

const WHERE = 'test.tar';

export interface Scanned {
  readonly entry: TarEntry;
  /** Content with sparse files expanded. */
  readonly content: Buffer;
}

/** All entries of a tar with their content. */
export async function scan(chunks: Chunks, limits: Partial<Limits> = {}): Promise<Scanned[]> {
  const found: { entry: TarEntry; pieces: Buffer[] }[] = [];
  const options = { limits: { ...DEFAULT_LIMITS, ...limits }, where: WHERE };
  for await (const event of scanTar(chunks, options)) {
    if (event.kind === 'entry') found.push({ entry: event.entry, pieces: [] });
    else found.at(-1)!.pieces.push(Buffer.from(event.data));
  }
  return found.map(({ entry, pieces }) => ({ entry, content: expand(entry, Buffer.concat(pieces)) }));
}

function expand(entry: TarEntry, stored: Buffer): Buffer {
  assert.equal(stored.length, entry.bodySize);
  if (!entry.sparse) return stored;
  const content = Buffer.alloc(entry.size);
  let at = 0;
  for (const { offset, size } of entry.sparse) {
    stored.copy(content, offset, at, at + size);
    at += size;
  }
  assert.equal(at, stored.length);
  return content;
}

/** The only entry of a tar that is made of `fixtures`. */
export async function scanOne(...fixtures: TarFixture[]): Promise<Scanned> {
  const found = await scan([writeTar(fixtures)]);
  assert.equal(found.length, 1);
  return found[0]!;
}

/** For assert.rejects: a `PanamaxError` of this kind whose message names the tar and the offset. */
export function refusal(kind: ErrorKind, what: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof PanamaxError, String(error));
    assert.equal(error.kind, kind);
    assert.match(error.message, what);
    assert.match(error.message, /in (test\.tar|layer \d+) at offset \d+/);
    return true;
  };
}
