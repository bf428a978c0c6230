import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Digest } from '../digest.ts';

export async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 256 * 1024 }))
    hash.update(piece as Buffer);
  return `sha256:${hash.digest('hex')}`;
}
