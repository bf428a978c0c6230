#!/usr/bin/env node
/**
 * The entry of the command. Node 16 parses this file, so that an old Node gets a sentence instead of a syntax error in
 * one of the modules.
 */
const LEAST = 24;
const found = process.versions.node;

if (Number(found.split('.')[0]) < LEAST) {
  process.stderr.write(`panamax: needs Node ${LEAST}, found ${found}\n`);
  process.exit(2);
}

// no top-level await: a single executable starts a CommonJS script
void import('./main.ts').then(({ main }) => main(process.argv.slice(2)));
