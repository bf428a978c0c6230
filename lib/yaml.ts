import { parse } from 'yaml';
import { PanamaxError } from './errors.ts';

/**
 * Parses YAML. The library's defaults refuse duplicate keys, and aliases that unfold to more than 100 nodes each.
 *
 * @throws PanamaxError `bad-input` with the line of the fault
 */
export function parseYaml(text: string, where: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    throw new PanamaxError('bad-input', `not YAML: ${line!.replace(/:$/, '')}`, { where });
  }
}
