import { serveThread } from '../../runtime/threadmain.ts';
import { runAssignment, type Assignment } from './assignment.ts';

/** The body of a further thread of an alignment. */
export const handler = serveThread((assignment: Assignment) => runAssignment(assignment));
