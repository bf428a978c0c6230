import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, hexOf } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { asRecord, asSize, asString, parseDocument } from '../../json.ts';
import { makeDirectories, replaceFile } from '../../runtime/file.ts';
import type { NameRecord } from '../../store/name.ts';
import { verifyName, type NameTrust } from '../../store/nametrust.ts';

/** A site that accepts records of names. */
export interface NameSite extends NameTrust {
  /** The site's state directory. */
  readonly state: string;
  /** Whether accepted records are noted there. */
  readonly keepsNames: boolean;
}

/**
 * Accepts the record of a name: it is signed as required, has not expired, and is not older, nor for another store, than
 * one that the site has accepted before. Otherwise an old copy of a store, whose signatures are valid, could bring an
 * old release back, and one owner's staging could pass for production.
 *
 * @throws PanamaxError `untrusted`, `expired`
 */
export async function trustName(record: NameRecord, site: NameSite, where: string): Promise<void> {
  verifyName(record, site, where);
  const { name, platform, sequence, store, expires, target } = record;
  const names = join(site.state, 'names');
  const path = join(names, `${hexOf(digestOf(`${name} ${platform}`))}.json`);
  const accepted = await readAccepted(path);
  if (accepted) checkAccepted(record, accepted, site, path);
  const isKnown = accepted?.sequence === sequence && accepted.store === store && accepted.expires === expires;
  if (!site.keepsNames || isKnown) return;
  await makeDirectories(names, 0o700);
  const text = `${JSON.stringify({ name, platform, sequence, store, expires, target }, null, 2)}\n`;
  await replaceFile(path, (part) => writeFile(part, text));
}

type Accepted = Pick<NameRecord, 'sequence' | 'store' | 'expires'>;

function checkAccepted(record: NameRecord, accepted: Accepted, { storeName }: NameSite, where: string): void {
  const { name, sequence, store, expires } = record;
  if (sequence < accepted.sequence) {
    throw new PanamaxError('untrusted', `an older image under the name ${name} than was accepted before`, {
      expected: `sequence ${accepted.sequence} or later`,
      found: sequence,
      where,
    });
  }
  // the site's own option decides, if there is one
  if (accepted.store !== undefined && store !== accepted.store && storeName === undefined) {
    throw new PanamaxError(
      'untrusted',
      `the record of ${name} is for another store than was accepted before`,
      {
        expected: `${accepted.store} (--store-name says otherwise)`,
        found: store ?? 'no name of a store',
        where,
      },
    );
  }
  if (sequence === accepted.sequence && accepted.expires !== undefined && expires === undefined) {
    throw new PanamaxError(
      'untrusted',
      `the record of ${name} does not expire, and was accepted with an expiry`,
      {
        expected: 'a time of expiry',
        found: 'none',
        where,
      },
    );
  }
}

async function readAccepted(path: string): Promise<Accepted | undefined> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (!bytes) return undefined;
  const { sequence, store, expires } = asRecord(parseDocument(bytes, path), path);
  return {
    sequence: asSize(sequence, path),
    ...(store !== undefined && { store: asString(store, path) }),
    ...(expires !== undefined && { expires: asSize(expires, path) }),
  };
}
