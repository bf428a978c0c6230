import type { FormatName } from '../lib/delta/format.ts';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Effort } from '../lib/delta/align/alignment.ts';
import type { Contestant } from './contestant.ts';
import { xdelta3Decode } from './peers.ts';
import { fileOf } from './unpacked.ts';

const ENCODE = program('bench/encode');
const APPLY = program('bench/apply');
const PANAMAX = program('bin/panamax');

/** The tool that is the whole commands `panamax diff` and `panamax apply` on images, as a user waits for them. */
export const WHOLE_COMMAND = 'panamax-diff';

export const FORMATS: readonly FormatName[] = ['xdelta', 'oci-delta', 'panamax'];
export const EFFORTS: readonly Effort[] = ['fast', 'default', 'best'];

export function panamaxTool(format: FormatName): string {
  return `panamax-${format}`;
}

/** The panamax of this checkout, in a separate process per patch. */
export function panamax(format: FormatName, effort: Effort): Contestant {
  return {
    tool: panamaxTool(format),
    effort,
    program: process.execPath,
    encode: ({ source, target }, patch) => [
      process.execPath,
      ENCODE,
      fileOf(source.stream),
      fileOf(target.stream),
      patch,
      format,
      effort,
    ],
    apply: ({ source }, patch, output) => [process.execPath, APPLY, fileOf(source.stream), patch, output],
    ...(format === 'xdelta' && {
      stockApply: ({ source }, patch, output) => xdelta3Decode(fileOf(source.stream), patch, output),
    }),
  };
}

const COMMAND = [process.execPath, PANAMAX] as const;

/** `panamax diff` of two images by default, and `panamax apply` of its patch to the source. */
export const wholeCommand: Contestant = {
  tool: WHOLE_COMMAND,
  program: process.execPath,
  encode: ({ source, target }, patch) => [
    ...COMMAND,
    'diff',
    `oci:${source.layout}`,
    `oci:${target.layout}`,
    '-o',
    patch,
  ],
  apply: ({ source }, patch, output) => [
    ...COMMAND,
    'apply',
    patch,
    '--source',
    `oci:${source.layout}`,
    '-o',
    `stream:${output}`,
  ],
};

/** The built script if it exists, since stripping types takes memory and time that an installed panamax does not. */
function program(name: string): string {
  const built = new URL(`../dist/${name}.js`, import.meta.url);
  return fileURLToPath(existsSync(built) ? built : new URL(`../${name}.ts`, import.meta.url));
}
