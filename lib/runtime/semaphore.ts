/**
 * A weighted semaphore. Claims are admitted in the order in which they arrive, so large ones are not starved: as long
 * as the first does not fit, those after it wait, too.
 */
export interface Semaphore {
  /** Weight that is taken now. */
  readonly used: number;
  /** Waits for a weight of at most the capacity. @throws the signal's reason, or that of `close` */
  acquire(claim: Claim): Promise<void>;
  /** Gives back weight that was acquired; it may be given back in parts. */
  release(weight: number): void;
  /** `acquire` of a fixed weight, which is given back once by disposing of the result. */
  reserve(weight: number, signal: AbortSignal): Promise<Disposable>;
  /** Rejects all claims that wait. */
  close(reason: unknown): void;
}

export interface Claim {
  /** A function is called each time the claim is first in line and weight may have become free. */
  readonly weight: number | (() => number);
  readonly signal: AbortSignal;
  /** Called synchronously once the weight is taken, before the next claim is looked at. */
  readonly onAdmit?: () => void;
  /** Called when the claim is first in line and lacks so much weight. */
  readonly onShort?: (lacking: number) => void;
}

interface Waiter extends Claim {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export function createSemaphore(capacity: number): Semaphore {
  const waiters: Waiter[] = [];
  let used = 0;

  function admitWaiters(): void {
    for (let first = waiters[0]; first; first = waiters[0]) {
      const weight = typeof first.weight === 'number' ? first.weight : first.weight();
      const lacking = used + weight - capacity;
      if (lacking > 0) return first.onShort?.(lacking);
      waiters.shift();
      used += weight;
      first.onAdmit?.();
      first.resolve();
    }
  }

  async function acquire(claim: Claim): Promise<void> {
    const { signal } = claim;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { ...claim, resolve, reject };
    const leave = () => {
      const at = waiters.indexOf(waiter);
      if (at < 0) return;
      waiters.splice(at, 1);
      reject(signal.reason as Error);
      // the next one may fit
      admitWaiters();
    };
    signal.addEventListener('abort', leave, { once: true });
    waiters.push(waiter);
    admitWaiters();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  function release(weight: number): void {
    used -= weight;
    admitWaiters();
  }

  return {
    get used() {
      return used;
    },
    acquire,
    release,
    async reserve(weight, signal) {
      await acquire({ weight, signal });
      let isHeld = true;
      return {
        [Symbol.dispose]() {
          if (!isHeld) return;
          isHeld = false;
          release(weight);
        },
      };
    },
    close(reason) {
      for (const { reject } of waiters.splice(0)) reject(reason);
    },
  };
}
