/** How long something lives that tests start: a test, or a file of them. */
import { after } from 'node:test';

export type Scope = { after(action: () => Promise<void>): void };

type Action = () => unknown;

const stacks = new WeakMap<Scope, Action[]>();

/** For what all tests of a file share; to be called outside of tests. */
export function fileScope(): Scope {
  const scope = { after };
  // at once: from within a test, the hook would be that test's
  stackOf(scope);
  return scope;
}

/**
 * Does this at the end of a scope, before all that came earlier. Node's own hooks run in the order in which they
 * came: a directory would be removed while the daemon in it still writes there.
 */
export function atEnd(scope: Scope, action: Action): void {
  stackOf(scope).push(action);
}

function stackOf(scope: Scope): Action[] {
  const known = stacks.get(scope);
  if (known) return known;
  const stack: Action[] = [];
  stacks.set(scope, stack);
  scope.after(async () => {
    const failures: unknown[] = [];
    for (let action = stack.pop(); action; action = stack.pop()) {
      try {
        await action();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  });
  return stack;
}
