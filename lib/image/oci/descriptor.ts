import { type Digest, parseDigest } from '../../digest.ts';
import { asRecord, asString, asSize } from '../../json.ts';

/** Refers to a blob (OCI image-spec, descriptor.md). `size` is in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Other places of the bytes, mostly of foreign layers. */
  readonly urls?: readonly string[];
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** @throws PanamaxError `bad-input` */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  const record = asRecord(value, where);
  const urls = record['urls'];
  return {
    mediaType: asString(record['mediaType'] ?? '', `${where}.mediaType`),
    digest: parseDigest(record['digest'], `${where}.digest`),
    size: asSize(record['size'], `${where}.size`),
    ...hintsOf(record),
    ...(Array.isArray(urls) && urls.length > 0 && { urls: urls.filter((url) => typeof url === 'string') }),
  };
}

/** Optional fields. Null, and values of other types, count as missing. */
export function hintsOf(
  record: Readonly<Record<string, unknown>>,
): Pick<Descriptor, 'platform' | 'annotations'> {
  const platform = platformOf(record['platform']);
  const annotations = textsOf(record['annotations']);
  return { ...(platform && { platform }), ...(annotations && { annotations }) };
}

/** @returns undefined for a platform without an architecture */
function platformOf(value: unknown): Platform | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { os, architecture, variant } = value as Readonly<Record<string, unknown>>;
  if (typeof architecture !== 'string' || architecture === '') return undefined;
  return {
    os: typeof os === 'string' ? os : '',
    architecture,
    ...(typeof variant === 'string' && variant && { variant }),
  };
}

/** The fields of an object whose values are text. */
function textsOf(value: unknown): Record<string, string> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const texts = Object.entries(value).filter(
    (field): field is [string, string] => typeof field[1] === 'string',
  );
  return Object.fromEntries(texts);
}
