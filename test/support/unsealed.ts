/** A document as versions without checksums wrote it, for tests that damage fields behind the checksum. */
export function unsealed(bytes: Uint8Array): Buffer {
  const { checksum: _, ...document } = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
  return Buffer.from(JSON.stringify(document));
}
