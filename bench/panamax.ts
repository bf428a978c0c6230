import { fileURLToPath } from 'node:url';
import type { Effort } from '../lib/delta/alignment.ts';
import type { PatchFormat } from '../lib/store/layout.ts';
import type { Contestant } from './contestant.ts';
import { xdelta3Decode } from './peers.ts';

const ENCODE = fileURLToPath(new URL('encode.ts', import.meta.url));
const APPLY = fileURLToPath(new URL('apply.ts', import.meta.url));

export const FORMATS: readonly PatchFormat[] = ['xdelta', 'oci-delta'];
export const EFFORTS: readonly Effort[] = ['fast', 'default', 'best'];

export function panamaxTool(format: PatchFormat): string {
  return `panamax-${format}`;
}

/** This checkout, in a process of its own for every patch. */
export function panamax(format: PatchFormat, effort: Effort): Contestant {
  return {
    tool: panamaxTool(format),
    effort,
    program: process.execPath,
    encode: ({ source, target }, patch) => [
      process.execPath,
      ENCODE,
      source.stream.path,
      target.stream.path,
      patch,
      format,
      effort,
    ],
    apply: ({ source }, patch, output) => [process.execPath, APPLY, source.stream.path, patch, output],
    ...(format === 'xdelta' && {
      stockApply: ({ source }, patch, output) => xdelta3Decode(source.stream.path, patch, output),
    }),
  };
}
