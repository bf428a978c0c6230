/**
 * Writes docs/json.md from the schemas of the documents (bin/schemas.ts):
 *
 *     node packaging/jsondocs.ts
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_SCHEMA, SCHEMAS } from '../bin/schemas.ts';
import { EVENT_SCHEMAS } from '../workers/notify/events.ts';

/** The parts of valibot's schemas that tell a document's shape. */
interface Shape {
  readonly type: string;
  readonly expects: string;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly item?: Shape;
  readonly value?: Shape;
  readonly wrapped?: Shape;
  readonly options?: readonly (Shape | string)[];
  readonly literal?: unknown;
  readonly pipe?: readonly Shape[];
  readonly message?: unknown;
}

const HEAD = `# JSON documents

Made from the schemas in \`bin/schemas.ts\` by \`node packaging/jsondocs.ts\`; a test compares both, and the output of commands with the schemas.

With \`--json\` a command prints one document on standard output. \`version\` is 1; it grows when a field is removed or changes its
meaning. New fields may be added at any time: ignore those that you do not know. Sizes are bytes, times are seconds or ISO 8601, digests are
\`sha256:\` and 64 hex digits. A field with \`?\` may be missing.

A command that fails prints a document of one line on standard error, after any other lines there. \`error.exitCode\` is the exit code,
\`error.kind\` its name ([operations.md](operations.md#exit-codes)). A batch with failures prints its result, too.
`;

const EVENTS = `## Events

The \`data\` of the CloudEvents that \`--notify URL\` posts ([operations.md](operations.md#events)), by \`type\`.
`;

const FENCE = '```';

export function formatDocument(): string {
  const sections = Object.entries(SCHEMAS).map(([command, schemas]) => {
    const blocks = schemas.map((schema) => fenced(schema));
    return `## ${command}\n\n${blocks.join('\nor\n\n')}`;
  });
  const events = Object.entries<(typeof SCHEMAS)[string][number]>(EVENT_SCHEMAS).map(
    ([type, schema]) => `### ${type}\n\n${fenced(schema)}`,
  );
  return [HEAD, `## Errors\n\n${fenced(ERROR_SCHEMA)}`, ...sections, EVENTS, ...events].join('\n');
}

function fenced(schema: Shape): string {
  return `${FENCE}\n${describe(schema, '')}\n${FENCE}\n`;
}

function describe(shape: Shape, indent: string): string {
  if (shape.pipe && shape.pipe.length > 1) {
    const whole = shape.pipe.find(({ entries, options, value }) => entries ?? options ?? value);
    return whole ? describe({ ...whole, pipe: [] }, indent) : shape.type;
  }
  const { type, entries, item, value, wrapped, options = [], literal } = shape;
  if (entries) {
    const inner = `${indent}  `;
    const lines = Object.entries(entries).map(([name, field]) => {
      const isOptional = field.type === 'exact_optional';
      return `${inner}${name}${isOptional ? '?' : ''}: ${describe(isOptional ? field.wrapped! : field, inner)}`;
    });
    return `{\n${lines.join('\n')}\n${indent}}`;
  }
  if (item) return `[${describe(item, indent)}]`;
  if (value && type === 'record') return `{ NAME: ${describe(value, indent)} }`;
  if (type === 'nullable') return `${describe(wrapped!, indent)} or null`;
  if (type === 'literal') return JSON.stringify(literal);
  if (type === 'intersect') return options.map((one) => describe(one as Shape, indent)).join(' and ');
  if (options.length > 0) {
    return options.map((one) => (typeof one === 'string' ? one : describe(one, indent))).join(' | ');
  }
  return type === 'custom' ? describeCustom(shape) : type;
}

function describeCustom({ message }: Shape): string {
  if (typeof message !== 'string') return 'value';
  if (message.startsWith('sha256')) return 'digest';
  return message.startsWith('a whole number') ? 'integer' : message;
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, '../docs/json.md'), formatDocument());
