/** The file to read, pairs of offset and size to be hashed, or a command about the ranges so far (tlshthread.ts). */
export type TlshRequest = { readonly path: string } | Float64Array | 'layer' | 'left-out' | 'rest' | 'close';

export type TlshAnswer = { readonly digest: string | null } | { readonly failure: string };

/** In place of an offset: a range of zeros. */
export const HOLE = -1;
/** In place of an offset: the end of a file. */
export const END = -2;
