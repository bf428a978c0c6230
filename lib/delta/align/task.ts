import type { LayerStream } from '../../image/layerstream.ts';
import type { Effort } from './alignment.ts';

export interface AlignOptions {
  readonly effort?: Effort;
  readonly signal?: AbortSignal;
  /**
   * The only parts of the source's layer stream that may be copied from, as offsets
   * [start, end, start, end, …], ascending and disjoint. By default all of it.
   */
  readonly usable?: Float64Array;
}

export interface StreamsTask {
  readonly source: LayerStream;
  readonly target: LayerStream;
  readonly options: Omit<AlignOptions, 'signal'>;
}
