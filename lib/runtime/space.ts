import { closeSync, openSync } from 'node:fs';
import { readExactly } from './blocking.ts';

const PAGE_SIZE = 32 * 1024;
const PAGES = 128;

/** Parts of files one behind the other, such as the layers of a stream. Reads block. */
export interface Space {
  readonly size: number;
  /** Fills `into` from `position` on. @throws PanamaxError `io` if a file is shorter than its part */
  read(into: Uint8Array, position: number): void;
}

export interface FilePart {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

export type FileParts = readonly FilePart[];

/** Files by their paths, opened once. */
export interface OpenFiles extends Disposable {
  space(parts: FileParts): Space;
}

interface Part {
  readonly size: number;
  read(into: Uint8Array, position: number): void;
}

export function createOpenFiles(): OpenFiles {
  const files = new Map<string, number>();
  const partOf = ({ path, offset, size }: FilePart): Part => {
    if (!files.has(path)) files.set(path, openSync(path, 'r'));
    const fd = files.get(path)!;
    return { size, read: (into, position) => readExactly(fd, into, offset + position) };
  };
  return {
    space: (parts) => joined(parts.map(partOf)),
    [Symbol.dispose]() {
      for (const fd of files.values()) closeSync(fd);
      files.clear();
    },
  };
}

/** Of parts in all, in bytes. */
export function sizeOfParts(parts: FileParts): number {
  return parts.reduce((sum, { size }) => sum + size, 0);
}

/** The parts of a range. */
export function clippedParts(parts: FileParts, start: number, end: number): FilePart[] {
  const clipped: FilePart[] = [];
  let at = 0;
  for (const { path, offset, size } of parts) {
    const from = Math.max(start, at);
    const to = Math.min(end, at + size);
    if (from < to) clipped.push({ path, offset: offset + from - at, size: to - from });
    at += size;
  }
  return clipped;
}

function joined(parts: readonly Part[]): Space {
  const starts = new Float64Array(parts.length);
  let size = 0;
  for (const [i, part] of parts.entries()) {
    starts[i] = size;
    size += part.size;
  }
  return {
    size,
    read(into, position) {
      let [low, high] = [0, parts.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (starts[middle]! + parts[middle]!.size > position) high = middle;
        else low = middle + 1;
      }
      for (let i = low, done = 0; done < into.length; i++) {
        const from = position + done - starts[i]!;
        const length = Math.min(into.length - done, parts[i]!.size - from);
        parts[i]!.read(into.subarray(done, done + length), from);
        done += length;
      }
    },
  };
}

/** Caches recent reads, for many small reads that jump about. */
export function pagedSpace(space: Space): Space {
  const memory = new Uint8Array(PAGES * PAGE_SIZE);
  const held = new Float64Array(PAGES).fill(-1);
  return {
    size: space.size,
    read(into, position) {
      if (into.length > PAGE_SIZE) {
        space.read(into, position);
        return;
      }
      for (let done = 0; done < into.length;) {
        const page = Math.floor((position + done) / PAGE_SIZE);
        const slot = page % PAGES;
        const start = page * PAGE_SIZE;
        const bytes = memory.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE);
        if (held[slot] !== page) {
          held[slot] = -1;
          space.read(bytes.subarray(0, Math.min(PAGE_SIZE, space.size - start)), start);
          held[slot] = page;
        }
        const from = position + done - start;
        const size = Math.min(PAGE_SIZE - from, into.length - done);
        into.set(bytes.subarray(from, from + size), done);
        done += size;
      }
    },
  };
}
