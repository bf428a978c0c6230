import { loadAll, type Commands, type Loaders } from './command.ts';

/** Commands in the order of the help. Each is loaded when it is needed: all of them take as long as most commands. */
export const COMMANDS: Loaders = {
  backfill: async () => (await import('./commands/backfill.ts')).backfillCommand,
  enqueue: async () => (await import('./commands/enqueue.ts')).enqueueCommand,
  watch: async () => (await import('./commands/watch.ts')).watchCommand,
  worker: async () => (await import('./commands/worker.ts')).workerCommand,
  status: async () => (await import('./commands/status.ts')).statusCommand,
  report: async () => (await import('./commands/report.ts')).reportCommand,
  dashboard: async () => (await import('./commands/dashboard.ts')).dashboardCommand,
  diff: async () => (await import('./commands/diff.ts')).diffCommand,
  publish: async () => (await import('./commands/publish.ts')).publishCommand,
  apply: async () => (await import('./commands/apply.ts')).applyCommand,
  pull: async () => (await import('./commands/pull.ts')).pullCommand,
  mirror: async () => (await import('./commands/mirror.ts')).mirrorCommand,
  bundle: async () => (await import('./commands/bundle.ts')).bundleCommand,
  tag: async () => (await import('./commands/tag.ts')).tagCommand,
  keygen: async () => (await import('./commands/keygen.ts')).keygenCommand,
  rank: async () => (await import('./commands/rank.ts')).rankCommand,
  similar: async () => (await import('./commands/similar.ts')).similarCommand,
  index: async () => (await import('./commands/index.ts')).indexCommand,
  plan: async () => (await import('./commands/plan.ts')).planCommand,
  calibrate: async () => (await import('./commands/calibrate.ts')).calibrateCommand,
  check: async () => (await import('./commands/check.ts')).checkCommand,
  gc: async () => (await import('./commands/gc.ts')).gcCommand,
  inspect: async () => (await import('./commands/inspect.ts')).inspectCommand,
  completion: async () => (await import('./commands/completion.ts')).completionCommand,
  man: async () => (await import('./commands/man.ts')).manCommand,
  version: async () => (await import('./commands/version.ts')).versionCommand,
};

/** Loads all commands. */
export function loadCommands(): Promise<Commands> {
  return loadAll(COMMANDS);
}
