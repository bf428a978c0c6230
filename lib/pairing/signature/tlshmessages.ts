/** Pairs of offset and size, or what is to be done with what they named. */
export type TlshRequest = Float64Array | 'layer' | 'left-out' | 'rest';

export type TlshAnswer = { readonly digest: string | null } | { readonly failure: string };

/** Offsets that are none: zeros, and the end of a file. */
export const HOLE = -1;

export const END = -2;
