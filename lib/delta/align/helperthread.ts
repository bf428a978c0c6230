import { serveThread } from '../../runtime/threadmain.ts';
import { perform, type Assignment } from './helpers.ts';

/** The body of a thread that works for the one that matches. */
serveThread((assignment: Assignment) => perform(assignment));
