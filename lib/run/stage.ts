/** The stages of a run, in their order (workers/flow.ts). */
export const STAGES = ['signature', 'pairing', 'delta'] as const;
export type Stage = (typeof STAGES)[number];

export function isStage(name: unknown): name is Stage {
  return STAGES.some((stage) => stage === name);
}

export type Status = 'done' | 'skipped' | 'failed';
