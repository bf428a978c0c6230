import type { IncomingMessage } from 'node:http';

/** Reads the body of a request to a server. @returns undefined if it has more than `most` bytes; the rest is not read */
export async function readRequestBody(request: IncomingMessage, most: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > most) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
