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

/** Pushes a name's record as a referrer of its image. Repeated calls change nothing. */
export async function pushName(
  repository: Repository,
  subject: Descriptor,
  record: NameRecord,
): Promise<Digest> {
  const { name, platform } = record;
  return pushDocument(repository, subject, {
    artifactType: NAME_ARTIFACT,
    configType: NAME_CONFIG,
    document: nameDocument(record),
    annotations: { 'vnd.panamax.name': name, 'vnd.panamax.name.platform': platform },
  });
}

/** Reads the names of an image, latest first. Skips damaged records. */
export async function readNames(
  repository: Repository,
  target: Digest,
  referrers: readonly Referrer[],
): Promise<NameRecord[]> {
  const names: NameRecord[] = [];
  for (const referrer of referrers) {
    if (referrer.artifactType !== NAME_ARTIFACT) continue;
    try {
      const { record, where } = await readReferrer(repository, referrer, target);
      const config = parseDescriptor(record['config'], `${where} config`);
      const name = parseName(await readConfig(repository, config), where);
      if (name.target.manifest === target) names.push(name);
    } catch (error) {
      if (!isUnusable(error)) throw error;
    }
  }
  return names.toSorted((a, b) => b.sequence - a.sequence);
}
