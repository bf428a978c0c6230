import { digestOf, hexOf } from '../digest.ts';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { PanamaxError } from '../errors.ts';
import { objectSchema, type Checked } from '../schema.ts';

const signatureSchema = objectSchema({ key: v.string(), value: v.string() });

/**
 * An Ed25519 signature (RFC 8032) of a statement: one line of text with all facts that it covers. `key` is the key's ID,
 * the first 16 hex digits of the SHA-256 of the public key (SPKI, DER); `value` is base64.
 */
export type Signature = Checked<typeof signatureSchema>;

/** Signatures of one statement. While a key is replaced, the old and the new one sign. */
export interface Signed {
  readonly signature?: Signature;
  /** Of further keys. Readers that know one signature only use the one above. */
  readonly signatures?: readonly Signature[];
}

/** Bounds the time that verifying a document takes. */
export const MAX_SIGNATURES = 8;

/** The length is checked before the items. */
const furtherSchema = v.pipe(
  v.custom<unknown[]>(
    (value) => Array.isArray(value) && value.length < MAX_SIGNATURES,
    `at most ${MAX_SIGNATURES - 1} further signatures`,
  ),
  v.array(signatureSchema),
);

/** The fields of `Signed` in the schema of a document. */
export const signedEntries = {
  signature: v.exactOptional(signatureSchema),
  signatures: v.exactOptional(furtherSchema),
};

export function signaturesOf({ signature, signatures = [] }: Signed): readonly Signature[] {
  return signature ? [signature, ...signatures] : signatures;
}

/** Only the signatures of a signed object. */
export function onlySignatures({ signature, signatures }: Signed): Signed {
  return { ...(signature && { signature }), ...(signatures && { signatures }) };
}

/** Facts that an owner signs with every name (docs/formats.md). */
export interface NameTerms {
  /** The store's name. */
  readonly store?: string;
  /** Time from signing to expiry in milliseconds; `never` ends the expiry of a name that has one. */
  readonly lifetime?: number | 'never';
}

export interface Sign {
  (statement: string): Signed;
  /** Accepts the signatures of these keys. */
  readonly verify: Verify;
  readonly terms?: NameTerms;
}

/** @throws PanamaxError `untrusted` unless one of the trusted keys has signed the statement */
export type Verify = (statement: string, signed: Signed, where: string) => void;

/** Generates a pair of keys in PEM: PKCS #8 and SPKI. */
export function generateKeys(): { privateKey: string; publicKey: string; id: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    id: keyID(publicKey),
  };
}

/**
 * Reads the keys that sign together.
 *
 * @param paths at least one
 * @throws PanamaxError `usage`
 */
export async function readSigningKeys(paths: readonly string[], terms: NameTerms = {}): Promise<Sign> {
  const privateKeys = new Map<string, KeyObject>();
  const publicKeys = new Map<string, KeyObject>();
  for (const path of paths) {
    const key = await readKey(path, 'an Ed25519 private key as PEM', createPrivateKey);
    const publicKey = createPublicKey(key);
    privateKeys.set(keyID(publicKey), key);
    publicKeys.set(keyID(publicKey), publicKey);
  }
  if (privateKeys.size > MAX_SIGNATURES) {
    const expected = `at most ${MAX_SIGNATURES}`;
    throw new PanamaxError('usage', 'too many keys to sign with', { expected, found: privateKeys.size });
  }
  const signStatement = (statement: string): Signed => {
    const [signature, ...signatures] = [...privateKeys].map(([key, privateKey]) => ({
      key,
      value: sign(null, Buffer.from(statement), privateKey).toString('base64'),
    }));
    return { ...(signature && { signature }), ...(signatures.length > 0 && { signatures }) };
  };
  return Object.assign(signStatement, { verify: verifyWith(publicKeys), terms });
}

/** @throws PanamaxError `usage` */
export async function readVerifyKeys(paths: readonly string[]): Promise<Verify> {
  const keys = new Map<string, KeyObject>();
  for (const path of paths) {
    const key = await readKey(path, 'an Ed25519 public key as PEM', readPublicKey);
    keys.set(keyID(key), key);
  }
  return verifyWith(keys);
}

/** @param keys by ID */
function verifyWith(keys: ReadonlyMap<string, KeyObject>): Verify {
  return (statement, signed, where) => {
    const all = signaturesOf(signed).slice(0, MAX_SIGNATURES);
    const own = all.filter(({ key }) => keys.has(key));
    if (own.length === 0) {
      throw new PanamaxError('untrusted', 'not signed by a key that is trusted', {
        expected: [...keys.keys()].join(' or '),
        found: all.map(({ key }) => key).join(', ') || 'no signature',
        where,
      });
    }
    const bytes = Buffer.from(statement);
    if (own.some(({ key, value }) => verify(null, bytes, keys.get(key)!, Buffer.from(value, 'base64'))))
      return;
    throw new PanamaxError('untrusted', 'the signature is not of what is said', {
      expected: statement,
      where,
    });
  };
}

async function readKey(
  path: string,
  expected: string,
  parse: (pem: string) => KeyObject,
): Promise<KeyObject> {
  const pem = await readFile(path, 'utf8');
  try {
    const key = parse(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (cause) {
    // the message leaves out the content, which may be a private key
    throw new PanamaxError('usage', 'key cannot be read', { expected, where: path }, { cause });
  }
  throw new PanamaxError('usage', 'key of another kind', { expected, where: path });
}

/** Refuses a private key, which Node would accept: it must not be at a site. */
function readPublicKey(pem: string): KeyObject {
  if (!pem.includes('BEGIN PUBLIC KEY')) throw new Error('no public key');
  return createPublicKey(pem);
}

function keyID(publicKey: KeyObject): string {
  return hexOf(digestOf(publicKey.export({ type: 'spki', format: 'der' }))).slice(0, 16);
}
