import { embeddedModule } from '../embedded.ts';
import { CODE } from './lzmacode.ts';

/** Functions of wasm/lzma.rs, which has the meaning of each. */
interface LzmaFunctions {
  readonly encoder_start: (
    size: number,
    window: number,
    rowCountBits: number,
    depth: number,
    positions: number,
    lc: number,
    lp: number,
    pb: number,
    niceLength: number,
    isOptimal: number,
  ) => number;
  readonly encoder_reset: () => void;
  readonly encoder_enter: (end: number) => void;
  readonly encoder_move: (distance: number) => void;
  readonly encoder_chunk: (start: number, end: number) => number;
  readonly encoder_output: () => number;
  readonly encoder_output_size: () => number;
  readonly encoder_restore: () => void;
  readonly decoder_start: (maxSize: number) => void;
  readonly decoder_reset_dictionary: () => void;
  readonly decoder_reset_state: () => void;
  readonly decoder_set_properties: (lc: number, lp: number, pb: number) => void;
  readonly decoder_chunk: () => number;
  readonly decoder_start_chunk: (size: number) => void;
  readonly decoder_is_sound: () => number;
  readonly decoder_position: () => number;
  readonly decoder_room: () => number;
  readonly decoder_advance: (count: number) => void;
  readonly decoder_run: (count: number) => void;
}

/** Makes an instance for one encoder or decoder. */
export const instantiate = embeddedModule<LzmaFunctions>(CODE);
