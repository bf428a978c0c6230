/** Figures of a mirror since its start. Sizes are in bytes. */
export interface Totals {
  /** Received from upstreams. */
  upstreamBytes: number;
  /** Received from the store. */
  storeBytes: number;
  /** Sent to clients as blobs. */
  servedBytes: number;
  /** Of layers that were rebuilt from patches. */
  rebuiltBytes: number;
  /** Of the patches that were applied. */
  patchBytes: number;
  rebuildSeconds: number;
  /** Images by how they came: held, patch, or the reason for passing through. */
  readonly images: Map<string, number>;
}

export function createTotals(): Totals {
  return {
    upstreamBytes: 0,
    storeBytes: 0,
    servedBytes: 0,
    rebuiltBytes: 0,
    patchBytes: 0,
    rebuildSeconds: 0,
    images: new Map(),
  };
}
