import { serveThread } from '../../threadmain.ts';
import { perform, type Assignment } from './crew.ts';

/** The body of a thread that works for the one that matches. */
serveThread((assignment: Assignment) => perform(assignment));
