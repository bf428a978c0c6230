import { findBuild } from '../build.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { printResult } from '../options/session.ts';

export const versionCommand: Command = {
  summary: 'Prints the versions of panamax and Node, and the commit of the build.',
  operands: [],
  options: pick(COMMON, 'json', 'help'),
  async run(args) {
    const { version: release, commit } = findBuild();
    const { arch, platform, versions } = process;
    const result = { release, commit, node: versions.node, platform: `${platform}/${arch}` };
    printResult(args, result, `panamax ${release} (${commit}), Node ${versions.node}, ${platform}/${arch}`);
  },
};
