import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { replaceFile } from '../runtime/file.ts';
import { objectSchema, parseWith, sizeSchema } from '../schema.ts';

/** The link of a site: blobs and patches come over it. */
export interface Link {
  /** Passes pieces on at the link's rate, and counts them. The count is written down at their end. */
  limit(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void>;
  /** Bytes that came this month (UTC). */
  readonly used: number;
  /** Whether the month's budget is used up. */
  readonly isUsedUp: boolean;
}

export interface LinkOptions {
  /** In bytes per second, over all transfers. */
  readonly rate?: number | undefined;
  /** In bytes per month. */
  readonly budget?: number | undefined;
}

const usageSchema = objectSchema({ version: v.literal(1), month: v.string(), bytes: sizeSchema });

/** @param state the directory that keeps the count */
export async function openLink(state: string, { rate, budget }: LinkOptions): Promise<Link> {
  const path = join(state, 'traffic.json');
  // a damaged count begins anew
  const kept = await readFile(path)
    .then((bytes) => parseWith(usageSchema, bytes, path))
    .catch(() => undefined);
  let month = monthOf(new Date());
  let used = kept?.month === month ? kept.bytes : 0;
  /** When the link is free again, in milliseconds of the monotonic clock. */
  let free = 0;

  function count(bytes: number): void {
    const now = monthOf(new Date());
    if (now !== month) [month, used] = [now, 0];
    used += bytes;
  }

  async function* limit(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const piece of pieces) {
        count(piece.length);
        if (rate !== undefined) {
          free = Math.max(free, performance.now()) + (1000 * piece.length) / rate;
          await delay(free - performance.now());
        }
        yield piece;
      }
    } finally {
      // a disk that is full does not stop a transfer
      await save().catch(() => {});
    }
  }

  async function save(): Promise<void> {
    const text = `${JSON.stringify({ version: 1, month, bytes: used })}\n`;
    await replaceFile(path, (part) => writeFile(part, text));
  }

  return {
    limit,
    get used() {
      count(0);
      return used;
    },
    get isUsedUp() {
      count(0);
      return budget !== undefined && used >= budget;
    },
  };
}

/** Such as `2026-11`. */
function monthOf(date: Date): string {
  return date.toISOString().slice(0, 7);
}
