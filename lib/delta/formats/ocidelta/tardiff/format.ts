/**
 * The tar-diff format, version 1 (github.com/containers/tar-diff, file-format.md): this magic, then a zstd stream
 * of operations. Each is an opcode of one byte, a size as an unsigned LEB128 integer and, for DATA, OPEN and
 * ADD_DATA, that many bytes.
 */
export const MAGIC: Uint8Array = Buffer.from('tardf1\n\0', 'latin1');

/** The following bytes are output. */
export const DATA = 0;
/** The following bytes are the path of the source file to read, from its start. */
export const OPEN = 1;
/** Bytes of the source file go to the output. */
export const COPY = 2;
/** The following bytes, added bytewise to bytes of the source file, are output. */
export const ADD_DATA = 3;
/** The size is where to read on in the source file. */
export const SEEK = 4;

/** Readers refuse longer paths. In bytes. */
export const MAX_PATH_SIZE = 4096;
/** Readers refuse longer ADD_DATA, which some of them hold in memory. In bytes. */
export const MAX_ADD_SIZE = 100 * 1024 ** 2;
/** The largest zstd window that is read here: 32 MiB, the most that tar-diff itself writes. */
export const MAX_WINDOW_LOG = 25;
