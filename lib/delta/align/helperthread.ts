import { serveThread } from '../../runtime/threadmain.ts';
import { perform, type Assignment } from './assignment.ts';

/** The body of a thread that works for the one that matches. */
export const handler = serveThread((assignment: Assignment) => perform(assignment));
