import * as v from 'valibot';
import type { ResidentSet } from '../../lib/run/request.ts';
import { objectSchema, parseWith, recordSchema } from '../../lib/schema.ts';
import { parseYaml } from '../../lib/yaml.ts';

/** Names of sites are any strings: each site's list is checked on its own. */
const inventorySchema = objectSchema({ sites: recordSchema('sites: { NAME: [IMAGE, ...] }') });
const imagesSchema = v.array(v.pipe(v.string(), v.nonEmpty('a reference of an image')));

/**
 * Reads an inventory: YAML that lists under `sites` the images that each site holds.
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
  const inventory = parseWith(inventorySchema, parseYaml(text, where), where);
  const sets = new Map<string, { images: string[]; sites: string[] }>();
  for (const [site, held] of Object.entries(inventory.sites)) {
    const images = [...new Set(parseWith(imagesSchema, held, `${where} sites.${site}`))].sort();
    const key = JSON.stringify(images);
    const set = sets.get(key);
    if (set) set.sites.push(site);
    else sets.set(key, { images, sites: [site] });
  }
  return [...sets.values()];
}
