import type { Digest } from '../../digest.ts';
import { parseDescriptor, type Descriptor } from '../../image/oci/descriptor.ts';
import { nameDocument, parseName, type NameRecord } from '../name.ts';
import { isUnusable, readConfig, readReferrer } from './patches.ts';
import { pushDocument } from './publish.ts';
import type { Referrer } from '../../image/registry/referrers.ts';
import type { Repository } from '../../image/registry/registry.ts';

/** Records of names as referrers of their images, so that the signature of a name covers a registry's tag. */

const NAME_ARTIFACT = 'application/vnd.panamax.name.v1';
const NAME_CONFIG = 'application/vnd.panamax.name.v1+json';
const ANNOTATION = 'vnd.panamax.name';

/** Pushes a name's record as a referrer of its image. Repeated calls change nothing. */
export async function pushName(
  repository: Repository,
  subject: Descriptor,
  record: NameRecord,
): Promise<Digest> {
  const { name, platform, sequence, expires = 0 } = record;
  return pushDocument(repository, subject, {
    artifactType: NAME_ARTIFACT,
    configType: NAME_CONFIG,
    document: nameDocument(record),
    annotations: {
      [ANNOTATION]: name,
      [`${ANNOTATION}.platform`]: platform,
      [`${ANNOTATION}.order`]: `${padded(sequence)} ${padded(expires)}`,
    },
  });
}

/** Numbers of equal width sort as text. */
const padded = (number: number) => String(number).padStart(16, '0');

const order = ({ annotations }: Referrer) => annotations?.[`${ANNOTATION}.order`] ?? '';

/** Number of records that are read: an image whose name is renewed collects them. */
const MOST_RECORDS = 64;

/**
 * Reads the names of an image, latest first, and of equal sequence the one that expires last. Skips damaged records, and
 * the oldest if there are many.
 *
 * @param name the only name that is wanted
 */
export async function readNames(
  repository: Repository,
  target: Digest,
  referrers: readonly Referrer[],
  name?: string,
): Promise<NameRecord[]> {
  const names: NameRecord[] = [];
  const latest = referrers
    .filter(({ artifactType }) => artifactType === NAME_ARTIFACT)
    .filter(({ annotations }) => [undefined, name].includes(annotations?.[ANNOTATION]) || name === undefined)
    .toSorted((a, b) => Number(order(a) < order(b)) - Number(order(a) > order(b)));
  for (const referrer of latest.slice(0, MOST_RECORDS)) {
    try {
      const { record, where } = await readReferrer(repository, referrer, target);
      const config = parseDescriptor(record['config'], `${where} config`);
      const name = parseName(await readConfig(repository, config), where);
      if (name.target.manifest === target) names.push(name);
    } catch (error) {
      if (!isUnusable(error)) throw error;
    }
  }
  return names.toSorted((a, b) => b.sequence - a.sequence || (b.expires ?? 0) - (a.expires ?? 0));
}
