import { parse } from 'yaml';
import { PanamaxError } from '../../lib/errors.ts';
import type { ResidentSet } from '../../lib/run/plan.ts';

const EXAMPLE = 'sites: { NAME: [IMAGE, ...] }';

/**
 * Reads an inventory: YAML that says under `sites` which images each site holds.
 *
 *     sites:
 *       shop-12: [oci:/images/app-1.0, oci:/images/db-3]
 *       shop-13: [oci:/images/app-1.1]
 *
 * Sites that hold the same images are one set.
 *
 * @throws PanamaxError `bad-input`
 */
export function parseInventory(text: string, where: string): ResidentSet[] {
  const bad = (found: unknown) =>
    new PanamaxError('bad-input', 'not an inventory', {
      expected: EXAMPLE,
      found: (JSON.stringify(found) ?? 'nothing').slice(0, 100),
      where,
    });
  const sites = (asMap(readYaml(text, where)) ?? {})['sites'];
  const entries = asMap(sites);
  if (!entries) throw bad(sites);
  const sets = new Map<string, { images: string[]; sites: string[] }>();
  for (const [site, held] of Object.entries(entries)) {
    if (!Array.isArray(held) || !held.every((image) => typeof image === 'string' && image !== '')) {
      throw bad({ [site]: held });
    }
    const images = [...new Set(held as string[])].sort();
    const key = JSON.stringify(images);
    const set = sets.get(key);
    if (set) set.sites.push(site);
    else sets.set(key, { images, sites: [site] });
  }
  return [...sets.values()];
}

/** Aliases may unfold to no more than a hundred nodes each, and keys occur once: both are the library's defaults. */
function readYaml(text: string, where: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    throw new PanamaxError('bad-input', `not YAML: ${line!}`, { where });
  }
}

function asMap(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
