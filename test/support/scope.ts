/** Lifetime of a resource that tests share: one test, or one file. */
import { after } from 'node:test';

export type Scope = { after(action: () => Promise<void>): void };

type Action = () => unknown;

const stacks = new WeakMap<Scope, Action[]>();

/** The scope of a file. To be called outside of tests. */
export function fileScope(): Scope {
  const scope = { after };
  // register now: within a test, the hook would belong to that test
  stackOf(scope);
  return scope;
}

/**
 * Runs an action at the end of a scope, in reverse order of registration. Node runs its hooks in the order of
 * registration: a directory would be removed while its daemon still writes there.
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
