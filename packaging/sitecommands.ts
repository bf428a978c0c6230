import { loadAll, type Commands, type Loaders } from '../bin/command.ts';

/** The commands of a site, in place of `bin/commands.ts` in the image for sites. */
export const COMMANDS: Loaders = {
  pull: async () => (await import('../bin/commands/pull.ts')).pullCommand,
  mirror: async () => (await import('../bin/commands/mirror.ts')).mirrorCommand,
  apply: async () => (await import('../bin/commands/apply.ts')).applyCommand,
  inspect: async () => (await import('../bin/commands/inspect.ts')).inspectCommand,
  version: async () => (await import('../bin/commands/version.ts')).versionCommand,
};

/** Loads all commands. */
export function loadCommands(): Promise<Commands> {
  return loadAll(COMMANDS);
}
