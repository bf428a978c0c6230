/** Literal context bits, literal position bits, position bits. LZMA2 requires lc + lp <= 4. */
export interface Properties {
  readonly lc: number;
  readonly lp: number;
  readonly pb: number;
}

const MAX_LITERAL_BITS = 4;

/** The properties byte of LZMA2. */
export function encodeProperties({ lc, lp, pb }: Properties): number {
  return (pb * 5 + lp) * 9 + lc;
}

/** @returns undefined for properties that LZMA2 forbids */
export function decodeProperties(byte: number): Properties | undefined {
  const properties = { lc: byte % 9, lp: Math.floor(byte / 9) % 5, pb: Math.floor(byte / 45) };
  return properties.pb > 4 || properties.lc + properties.lp > MAX_LITERAL_BITS ? undefined : properties;
}
