import { sizeOfParts } from '../lib/runtime/space.ts';
import type { Contestant } from './contestant.ts';
import type { CommandLine } from './measure.ts';
import { fileOf } from './unpacked.ts';

/** The baseline of all ratios. */
export const BASELINE = 'xdelta3-lzma';

/** bsdiff needs minutes, and 17 bytes of memory per byte of source. Larger sources are skipped. */
const MAX_BSDIFF_SOURCE = 100e6;

function xdelta3(tool: string, options: readonly string[]): Contestant {
  return {
    tool,
    program: 'xdelta3',
    encode: ({ source, target }, patch) => [
      'xdelta3',
      '-e',
      '-f',
      ...options,
      '-s',
      fileOf(source.stream),
      fileOf(target.stream),
      patch,
    ],
    apply: ({ source }, patch, output) => xdelta3Decode(fileOf(source.stream), patch, output),
  };
}

/** The command that a site would run with the stock program. */
export function xdelta3Decode(source: string, patch: string, output: string): CommandLine {
  return ['xdelta3', '-d', '-f', '-s', source, patch, output];
}

/** Programs to compare with. They run on layer streams, except where noted. */
export const PEERS: readonly Contestant[] = [
  xdelta3(BASELINE, ['-9', '-S', 'lzma', '-B', '1000000000']),
  xdelta3('xdelta3', []),
  {
    tool: 'zstd',
    program: 'zstd',
    encode: ({ source, target }, patch) => [
      'zstd',
      '-q',
      '-f',
      '-19',
      '--long=31',
      `--patch-from=${fileOf(source.stream)}`,
      fileOf(target.stream),
      '-o',
      patch,
    ],
    apply: ({ source }, patch, output) => [
      'zstd',
      '-q',
      '-f',
      '-d',
      '--long=31',
      `--patch-from=${fileOf(source.stream)}`,
      patch,
      '-o',
      output,
    ],
  },
  {
    tool: 'bsdiff',
    program: 'bsdiff',
    passesOver({ source }) {
      const size = sizeOfParts(source.stream.parts);
      return size > MAX_BSDIFF_SOURCE ? `source over ${MAX_BSDIFF_SOURCE / 1e6} MB` : undefined;
    },
    encode: ({ source, target }, patch) => ['bsdiff', fileOf(source.stream), fileOf(target.stream), patch],
    apply: ({ source }, patch, output) => ['bspatch', fileOf(source.stream), output, patch],
  },
  {
    tool: 'hdiffz',
    program: 'hdiffz',
    encode: ({ source, target }, patch) => [
      'hdiffz',
      '-m-6',
      '-SD',
      '-c-zstd-21-24',
      '-f',
      fileOf(source.stream),
      fileOf(target.stream),
      patch,
    ],
    apply: ({ source }, patch, output) => ['hpatchz', '-f', fileOf(source.stream), patch, output],
  },
  {
    // runs on compressed images; its patches apply to unpacked files, so apply is not measured
    tool: 'oci-delta',
    program: 'oci-delta',
    encode: ({ source, target }, patch) => [
      'oci-delta',
      'create',
      `oci:${source.layout}`,
      `oci:${target.layout}`,
      `oci-archive:${patch}`,
    ],
  },
];
