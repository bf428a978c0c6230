import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Digest } from '../../../digest.ts';
import { streamInFile } from '../../../image/layerstream.ts';
import { BLOCK } from './headers.ts';
import type { StoredSide } from './storedside.ts';

/** A tar on disk of the contents of members, so that the matcher pairs them by their paths as files. */
export type MemberTar = StoredSide;

export interface MemberTarWriter {
  /** @returns where the content is in the tar */
  add(path: string, content: Uint8Array): number;
  finish(): MemberTar;
  close(): void;
}

/** @param path of a new file */
export function createMemberTar(path: string): MemberTarWriter {
  const fd = openSync(path, 'wx');
  let at = 0;
  const write = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
    at += bytes.length;
  };
  return {
    add(name, content) {
      write(headerFor(name, content.length));
      const start = at;
      write(content);
      write(Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
      return start;
    },
    finish() {
      write(Buffer.alloc(2 * BLOCK));
      // a name that no layer has
      const diffID: Digest = `sha256:${createHash('sha256').update(path).digest('hex')}`;
      return { record: { layers: [{ diffID }] as never }, stream: streamInFile(path, [at]) };
    },
    close: () => closeSync(fd),
  };
}

/** A ustar header. Directories become digests: they fit, and the matcher compares them as a whole. */
function headerFor(path: string, size: number): Buffer {
  const slash = path.lastIndexOf('/');
  const directory = createHash('sha256')
    .update(path.slice(0, slash + 1))
    .digest('hex')
    .slice(0, 32);
  const header = Buffer.alloc(BLOCK);
  header.write(`${directory}/${path.slice(slash + 1).slice(-60)}`, 0, 'latin1');
  header.write('0000644\x000000000\x000000000\0', 100, 'latin1');
  header.write(`${size.toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0`, 124, 'latin1');
  header.write('        0', 148, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
