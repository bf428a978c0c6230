import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createSemaphore } from '../../lib/runtime/semaphore.ts';

const { signal } = new AbortController();
/** Lets every promise that is settled by now run its reactions. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('a weighted semaphore', () => {
  test('admits claims in the order in which they arrive', async () => {
    const semaphore = createSemaphore(100);
    const first = await semaphore.reserve(60, signal);
    const order: string[] = [];
    const reserve = async (name: string, weight: number) => {
      using _held = await semaphore.reserve(weight, signal);
      order.push(name);
    };
    const waiting = [reserve('large', 80), reserve('small', 20)];
    await settled();
    assert.deepEqual(order, []);
    first[Symbol.dispose]();
    await Promise.all(waiting);
    assert.deepEqual(order, ['large', 'small']);
    assert.equal(semaphore.used, 0);
  });

  test('gives a reservation back once, however often it is disposed of', async () => {
    const semaphore = createSemaphore(2);
    const [one, other] = [await semaphore.reserve(1, signal), await semaphore.reserve(1, signal)];
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    assert.equal(semaphore.used, 1);
    other[Symbol.dispose]();
    assert.equal(semaphore.used, 0);
  });

  test('rejects an aborted claim with its reason and admits the next', async () => {
    const semaphore = createSemaphore(10);
    using _held = await semaphore.reserve(5, signal);
    const leaving = new AbortController();
    const large = semaphore.reserve(10, leaving.signal);
    const small = semaphore.reserve(5, signal);
    leaving.abort(new Error('leaves'));
    await assert.rejects(large, { message: 'leaves' });
    (await small)[Symbol.dispose]();
    await assert.rejects(semaphore.reserve(1, leaving.signal), { message: 'leaves' });
    assert.equal(semaphore.used, 5);
  });

  test('asks for the weight again when the claim is first in line', async () => {
    const semaphore = createSemaphore(10);
    await semaphore.acquire({ weight: 8, signal });
    let weight = 6;
    const lacking: number[] = [];
    const claim = semaphore.acquire({ weight: () => weight, signal, onShort: (by) => lacking.push(by) });
    semaphore.release(1);
    weight = 3;
    semaphore.release(0);
    await claim;
    assert.deepEqual(lacking, [4, 3]);
    assert.equal(semaphore.used, 10);
  });

  test('rejects the claims that wait when it is closed', async () => {
    const semaphore = createSemaphore(1);
    using _held = await semaphore.reserve(1, signal);
    const waiting = [semaphore.reserve(1, signal), semaphore.reserve(1, signal)];
    semaphore.close(new Error('closed'));
    for (const claim of waiting) await assert.rejects(claim, { message: 'closed' });
    assert.equal(semaphore.used, 1);
  });

  test('keeps order and loses no weight, whatever is claimed, released and aborted', async () => {
    const capacity = 10;
    const step = fc.oneof(
      fc.record({ act: fc.constant('claim' as const), weight: fc.integer({ min: 0, max: capacity }) }),
      fc.record({ act: fc.constantFrom('release' as const, 'abort' as const), which: fc.nat(20) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const semaphore = createSemaphore(capacity);
        const waiting: { number: number; weight: number; stop: AbortController }[] = [];
        const held: { weight: number; give: Disposable }[] = [];
        const admitted: number[] = [];
        const claims: Promise<void>[] = [];
        for (const [number, each] of steps.entries()) {
          if (each.act === 'claim') {
            const claim = { number, weight: each.weight, stop: new AbortController() };
            waiting.push(claim);
            const take = async () => {
              try {
                const give = await semaphore.reserve(each.weight, claim.stop.signal);
                held.push({ weight: each.weight, give });
                admitted.push(number);
              } catch {
                assert.ok(claim.stop.signal.aborted);
              }
              waiting.splice(waiting.indexOf(claim), 1);
            };
            claims.push(take());
          } else if (each.act === 'release') {
            const [given] = held.splice(each.which % Math.max(held.length, 1), 1);
            given?.give[Symbol.dispose]();
          } else waiting[each.which % Math.max(waiting.length, 1)]?.stop.abort();
          await settled();
          const weight = held.reduce((sum, one) => sum + one.weight, 0);
          assert.equal(semaphore.used, weight);
          assert.ok(weight <= capacity);
          // the first that waits does not fit
          if (waiting.length > 0) assert.ok(weight + waiting[0]!.weight > capacity);
        }
        assert.deepEqual(
          admitted,
          admitted.toSorted((a, b) => a - b),
        );
        for (const { stop } of waiting) stop.abort();
        await Promise.all(claims);
        for (const { give } of held) give[Symbol.dispose]();
        assert.equal(semaphore.used, 0);
      }),
      { numRuns: 300 },
    );
  });
});
