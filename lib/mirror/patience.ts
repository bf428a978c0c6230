import { PanamaxError, toPanamaxError } from '../errors.ts';
import { raceAbort } from '../runtime/abort.ts';
import { StatusError } from '../runtime/http/retry.ts';

/** Runs an action that asks a server, for at most some seconds. A server that has not answered is left alone for a while. */
export type Ask = <Result>(server: string, action: () => Promise<Result>) => Promise<Result>;

/** Time in which a server that has not answered is not asked again, in milliseconds. */
const REST = 10_000;

/** @param time for an answer, in milliseconds. @param signal ends all waits */
export function createPatience(time: number, signal: AbortSignal): Ask {
  /** Until when a server is left alone, in milliseconds since 1970. */
  const resting = new Map<string, number>();

  return async (server, action) => {
    if ((resting.get(server) ?? 0) > Date.now()) throw silent(server);
    const late = AbortSignal.timeout(time);
    try {
      const result = await raceAbort(action(), AbortSignal.any([late, signal]));
      resting.delete(server);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      const known = late.aborted ? silent(server) : toPanamaxError(error);
      // a server that refuses one request may answer others
      const isSilent = known.kind === 'io' && !known.facts.isFinal && !(known.cause instanceof StatusError);
      if (isSilent) resting.set(server, Date.now() + REST);
      throw known;
    }
  };
}

function silent(where: string): PanamaxError {
  return new PanamaxError('io', 'no answer in time', { where });
}
