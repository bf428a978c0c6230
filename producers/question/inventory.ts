import * as v from 'valibot';
import { parse } from 'yaml';
import { PanamaxError } from '../../lib/errors.ts';
import type { ResidentSet } from '../../lib/run/request.ts';
import { objectSchema, parseWith, recordSchema } from '../../lib/schema.ts';

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
  const inventory = parseWith(inventorySchema, readYaml(text, where), where);
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

/** The library's defaults refuse duplicate keys, and aliases that unfold to more than 100 nodes each. */
function readYaml(text: string, where: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    throw new PanamaxError('bad-input', `not YAML: ${line!}`, { where });
  }
}
