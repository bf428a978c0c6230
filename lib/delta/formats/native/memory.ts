import type { Alignments } from '../../align/alignment.ts';

/** Of threads that code groups or streams, in MiB: their memory is in typed arrays. */
export const YOUNG_GENERATION = 4;

/** Frees the memory of an array at once: the garbage collector waits until there is far more to free. */
export function free({ buffer, byteLength }: ArrayBufferView): void {
  if (buffer instanceof ArrayBuffer && !buffer.detached && buffer.byteLength === byteLength)
    buffer.transfer(0);
}

export function freeAlignments({ target, source, length, exact }: Alignments): void {
  for (const column of [target, source, length, exact]) free(column);
}
