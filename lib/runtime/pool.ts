/**
 * Runs a task for each item, at most `concurrency` at a time, and starts them in order. A task that throws does not
 * stop the others. After an abort no more tasks start.
 *
 * @returns one settled result per item; tasks that were not started are rejected with the signal's reason
 */
export async function runPool<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  task: (item: Item) => Promise<Result>,
  signal: AbortSignal,
): Promise<PromiseSettledResult<Result>[]> {
  const results: PromiseSettledResult<Result>[] = [];
  let next = 0;
  async function work(): Promise<void> {
    for (let i = next++; i < items.length; i = next++) {
      try {
        signal.throwIfAborted();
        results[i] = { status: 'fulfilled', value: await task(items[i]!) };
      } catch (reason) {
        results[i] = { status: 'rejected', reason };
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, work));
  return results;
}
