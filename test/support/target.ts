/** The identity of an image whose digests repeat one hex digit. */
export function target(digit: string) {
  const digest = `sha256:${digit.repeat(64)}` as const;
  return { manifest: digest, config: digest, layers: digest, size: 1 };
}
