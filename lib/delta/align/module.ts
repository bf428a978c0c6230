import { embeddedModule, type Exports } from '../../compression/embedded.ts';
import { CODE } from './aligncode.ts';

/** Functions of wasm/align.rs and its modules, which have the meaning of each. */
interface AlignFunctions {
  readonly reserve: (largest: number) => void;
  readonly source: () => number;
  readonly target: () => number;
  readonly align: (
    sourceSize: number,
    targetSize: number,
    maxPlaces: number,
    maxEntries: number,
    maxSkip: number,
    skipBits: number,
  ) => number;
  readonly found: () => number;
  readonly text: () => number;
  readonly places: () => number;
  readonly find_places: (size: number) => number;
  readonly common_length: (sourceSize: number, s: number, targetSize: number, t: number) => number;
  readonly differing_bytes: (s: number, t: number, size: number, limit: number) => number;
  readonly extension: (sourceSize: number, s: number, targetSize: number, t: number) => number;
  readonly extension_back: (s: number, t: number) => number;
}

const instantiate = embeddedModule<AlignFunctions>(CODE);
let instance: Exports<AlignFunctions> | undefined;

/** The instance of this thread. Its memory is freed when the thread ends, and serves all tasks until then. */
export function alignModule(): Exports<AlignFunctions> {
  return (instance ??= instantiate());
}
