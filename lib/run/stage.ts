/** The stages of a run, in their order (workers/flow.ts). */
export const STAGES = ['signature', 'pairing', 'delta'] as const;
export type Stage = (typeof STAGES)[number];

export type Status = 'done' | 'skipped' | 'failed';
