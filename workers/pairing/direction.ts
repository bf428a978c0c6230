import { releaseNameOf } from '../../lib/image/oci/releasename.ts';
import { compareVersions, isVersion } from '../../lib/image/oci/version.ts';

/**
 * Whether a source is a later release than the target, so that a patch would lead back: by the versions of two tags of
 * one repository, else by the times of creation. Images of different repositories, and of unknown order, are not.
 *
 * @param newerBy seconds from the creation of the target to that of the source, if both are known
 */
export function isLater(source: string, target: string, newerBy: number | undefined): boolean {
  const [one, other] = [releaseNameOf(source), releaseNameOf(target)];
  if (one && other) {
    if (one.repository !== other.repository) return false;
    const [tag, targetTag] = [one.tag ?? '', other.tag ?? ''];
    const order = isVersion(tag) && isVersion(targetTag) ? compareVersions(tag, targetTag) : 0;
    if (order !== 0) return order > 0;
  }
  return newerBy !== undefined && newerBy > 0;
}
