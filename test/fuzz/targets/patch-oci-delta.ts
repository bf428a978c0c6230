/** Whole patches of format `oci-delta`, applied: the target, or an error. */
import type { Scope } from '../../support/scope.ts';
import { patchTarget } from '../patchtarget.ts';
import type { FuzzTarget } from '../target.ts';

export function open(scope: Scope): Promise<FuzzTarget> {
  return patchTarget(scope, 'oci-delta');
}
