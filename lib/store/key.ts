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

export const signatureSchema = objectSchema({ key: v.string(), value: v.string() });

/**
 * An Ed25519 signature (RFC 8032) of a statement: one line of text with all facts that it covers. `key` is the key's ID,
 * the first 16 hex digits of the SHA-256 of the public key (SPKI, DER); `value` is base64.
 */
export type Signature = Checked<typeof signatureSchema>;

export interface Sign {
  (statement: string): Signature;
  /** Accepts the signatures of this key. */
  readonly verify: Verify;
}

/** @throws PanamaxError `untrusted` unless one of the trusted keys has signed the statement */
export type Verify = (statement: string, signature: Signature | undefined, where: string) => void;

/** Generates a pair of keys in PEM: PKCS #8 and SPKI. */
export function generateKeys(): { privateKey: string; publicKey: string; id: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    id: keyID(publicKey),
  };
}

/** @throws PanamaxError `usage` */
export async function readSigningKey(path: string): Promise<Sign> {
  const key = await readKey(path, 'an Ed25519 private key as PEM', createPrivateKey);
  const publicKey = createPublicKey(key);
  const id = keyID(publicKey);
  const signStatement = (statement: string): Signature => ({
    key: id,
    value: sign(null, Buffer.from(statement), key).toString('base64'),
  });
  return Object.assign(signStatement, { verify: verifyWith(new Map([[id, publicKey]])) });
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
  return (statement, signature, where) => {
    const key = signature && keys.get(signature.key);
    if (!key) {
      throw new PanamaxError('untrusted', 'not signed by a key that is trusted', {
        expected: [...keys.keys()].join(' or '),
        found: signature?.key ?? 'no signature',
        where,
      });
    }
    if (verify(null, Buffer.from(statement), key, Buffer.from(signature.value, 'base64'))) return;
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
