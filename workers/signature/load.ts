import type { Digest } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import type { ImageRecord } from '../../lib/image/record.ts';
import type { Signature } from '../../lib/pairing/signature/signature.ts';
import {
  parseSignature,
  parseSignatureImage,
  type StoredProfile,
} from '../../lib/pairing/signature/stored.ts';
import { readProfile } from '../../lib/pairing/threads.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';

/** Undefined if the signature is missing. @throws PanamaxError `bad-input` */
export async function findSignature(store: Store, manifest: Digest): Promise<Signature | undefined> {
  return find(store, manifest, parseSignature, ({ image }) => image.manifest);
}

/** @throws PanamaxError `not-found`, `bad-input` */
export async function loadSignature(store: Store, manifest: Digest): Promise<Signature> {
  return (await findSignature(store, manifest)) ?? refuseMissing(store, manifest);
}

/** The record of an image that has a signature. @throws PanamaxError `not-found`, `bad-input` */
export async function loadImage(store: Store, manifest: Digest): Promise<ImageRecord> {
  const image = await find(store, manifest, parseSignatureImage, (record) => record.manifest);
  return image ?? refuseMissing(store, manifest);
}

export interface LoadedProfile extends StoredProfile {
  /** Size of the stored signature, in bytes. */
  readonly storedSize: number;
}

/** The part of a signature that comparisons use. @throws PanamaxError `not-found`, `bad-input` */
export async function loadProfile(store: Store, manifest: Digest): Promise<LoadedProfile> {
  const profile = await find(store, manifest, readSized, ({ head }) => head.manifest);
  return profile ?? refuseMissing(store, manifest);
}

async function readSized(bytes: Uint8Array, where: string): Promise<LoadedProfile> {
  return { ...(await readProfile(bytes, where)), storedSize: bytes.length };
}

async function find<Found>(
  store: Store,
  manifest: Digest,
  parse: (bytes: Uint8Array, where: string) => Found | Promise<Found>,
  manifestOf: (found: Found) => Digest,
): Promise<Found | undefined> {
  const key = keys.signature(manifest);
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  const where = `${store.where} ${key}`;
  const parsed = await parse(bytes, where);
  const found = manifestOf(parsed);
  if (found === manifest) return parsed;
  throw new PanamaxError('bad-input', 'signature of another image', { expected: manifest, found, where });
}

function refuseMissing(store: Store, manifest: Digest): never {
  throw new PanamaxError('not-found', 'no signature', { expected: manifest, where: store.where });
}
