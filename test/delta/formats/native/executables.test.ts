/** Patches between executables that compilers make, in both directions. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../../../support/directory.ts';
import { nativePair } from '../../../support/nativepatch.ts';
import { missing } from '../../../support/programs.ts';
import type { Scope } from '../../../support/scope.ts';
import { writeTar } from '../../../support/tar.ts';

const FUNCTIONS = 100;
const FREESTANDING = ['-O1', '-nostdlib', '-ffreestanding', '-fno-stack-protector'];

/** Functions that call each other, clean up after exceptions, and stand in a table; `added` statements move all that follow. */
function programC(added: number): string {
  const functions = Array.from({ length: FUNCTIONS }, (_, i) => {
    const more = i === 3 ? 'sum += x * 7 + sum / 3;'.repeat(added) : '';
    const next = i === 0 ? 'x' : `f${i - 1}(x ^ ${i * 2654435}) + f${i >> 1}(x + text[x & 7])`;
    return `int f${i}(int x) { __attribute__((cleanup(end))) int sum = hook(x); ${more} return sum + ${next}; }`;
  });
  return [
    'const char text[] = "some text"; int last;',
    'void end(int *x) { last = *x; }',
    'int hook(int x) { return x + last; }',
    'int (*volatile hooks[])(int) = { hook };',
    '#define hook(x) hooks[0](x)',
    ...functions,
    `int (*const table[])(int) = { ${functions.map((_, i) => `f${i}`).join(', ')} };`,
    'int __gcc_personality_v0(void) { return 0; } void _Unwind_Resume(void *x) { for (;;); }',
    'void _start(void) { last = table[last & 127](last); for (;;); }',
  ].join('\n');
}

interface Kind {
  readonly options: readonly string[];
  /** Sections that it has. */
  readonly sections: readonly string[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  'a shared library': {
    options: ['-shared', '-fPIC', '-fexceptions', '-Wl,--hash-style=gnu'],
    sections: ['.gcc_except_table', '.gnu.hash', '.eh_frame_hdr'],
  },
  'a static, position-dependent executable': { options: ['-static', '-fno-pie'], sections: ['.eh_frame'] },
};

async function assertSmall(t: Scope, one: Buffer, other: Buffer): Promise<void> {
  const layers = [one, other].map((content) => [writeTar([{ path: 'program', content }])]) as [
    Buffer[],
    Buffer[],
  ];
  for (const [source, target] of [layers, layers.toReversed() as typeof layers]) {
    const pair = await nativePair(t, source, target);
    const patch = await pair.encode();
    assert.ok(pair.target.equals(await pair.decode(patch)));
    assert.ok(patch.length < pair.target.length / 50, `${patch.length} of ${pair.target.length} bytes`);
  }
}

for (const [kind, { options, sections }] of Object.entries(KINDS)) {
  test(`rebuilds ${kind} from another build of it, and back`, { skip: missing('cc') }, async (t) => {
    const directory = await temporaryDirectory(t);
    const builds: Buffer[] = [];
    for (const added of [1, 2]) {
      const [source, output] = [join(directory, `${added}.c`), join(directory, `${added}`)];
      await writeFile(source, programC(added));
      execFileSync('cc', [...FREESTANDING, ...options, '-o', output, source], { stdio: 'pipe' });
      builds.push(await readFile(output));
    }
    const [one, other] = builds as [Buffer, Buffer];
    assert.ok(sections.every((name) => one.includes(`${name}\0`)));
    await assertSmall(t, one, other);
  });
}

test('rebuilds a Go program from another build of it, and back', { skip: missing('go') }, async (t) => {
  const directory = await temporaryDirectory(t);
  const builds: Buffer[] = [];
  for (const added of [1, 2]) {
    const package_ = join(directory, `${added}`);
    await mkdir(package_);
    await writeFile(join(package_, 'go.mod'), 'module example.com/tiny\n');
    const more = 'println(len(text), cap(make([]int, len(text))));'.repeat(added);
    await writeFile(join(package_, 'main.go'), `package main\nvar text = "text"\nfunc main() { ${more} }\n`);
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '' };
    execFileSync('go', ['build', '-trimpath', '-ldflags=-w', '-o', 'out', '.'], {
      cwd: package_,
      env,
      stdio: 'pipe',
    });
    builds.push(await readFile(join(package_, 'out')));
  }
  const [one, other] = builds as [Buffer, Buffer];
  await assertSmall(t, one, other);
});
