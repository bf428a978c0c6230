import type { Commands, Option } from './command.ts';

/** Scripts that complete the command line in shells, made of the table of options. */

export const SHELLS: ReadonlyMap<string, (commands: Commands) => string> = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

/** Values that name a file. */
const FILES = /^(?:FILE|DIR|KEY|PUB|STORE|IMAGE)$/;
/** Operands that name a file. */
const FILE_OPERANDS = /^(?:OLD|NEW|PATCH|IMAGE|TARGET)/;

function bashScript(commands: Commands): string {
  const cases = commands.map(([name, { options }]) => {
    const words = Object.entries(options).flatMap(([option, { short }]) => [
      `--${option}`,
      ...(short ? [`-${short}`] : []),
    ]);
    return `    ${name}) words='${words.join(' ')}' ;;`;
  });
  const choices = unique(
    commands.flatMap(([name, { options }]) =>
      Object.entries(options)
        .filter(([, one]) => one.choices)
        .map(([option, one]) => `    ${name}:--${option}) values='${one.choices!.join(' ')}' ;;`),
    ),
  );
  return `# bash completion of panamax: source <(panamax completion bash)
_panamax() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words='' values=''
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W '${commands.map(([name]) => name).join(' ')} help' -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}:$before" in
${choices.join('\n')}
    help:*) values='${commands.map(([name]) => name).join(' ')}' ;;
    completion:*) values='bash zsh fish' ;;
  esac
  if [ -n "$values" ]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}
complete -o filenames -F _panamax panamax
`;
}

function zshScript(commands: Commands): string {
  const cases = commands.map(([name, { options, operands }]) => {
    const specs = Object.entries(options).map(([option, one]) => spec(option, one));
    const files = operands.some((operand) => FILE_OPERANDS.test(operand.replace('[', '')));
    const rest =
      name === 'completion' ? "        ':shell:(bash zsh fish)'" : files ? "        '*:operand:_files'" : '';
    return `      ${name}) _arguments ${['', ...specs, rest].filter((one, i) => i === 0 || one).join(' \\\n')} ;;`;
  });
  const list = commands.map(
    ([name, { summary }]) => `    '${name}:${quote(summary.replaceAll(':', '\\:'))}'`,
  );
  return `#compdef panamax
# zsh completion of panamax: panamax completion zsh > "\${fpath[1]}/_panamax"
_panamax() {
  local -a commands=(
${list.join('\n')}
    'help:Describes a command.'
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
      help) _describe command commands ;;
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _panamax ]; then _panamax "$@"; else compdef _panamax panamax; fi
`;
}

function fishScript(commands: Commands): string {
  const lines = commands.flatMap(([name, { summary, options }]) => [
    `complete -c panamax -n __fish_use_subcommand -f -a ${name} -d ${fishQuote(summary)}`,
    ...Object.entries(options).map(([option, { type, short, help, choices, value }]) => {
      const from = `complete -c panamax -n '__fish_seen_subcommand_from ${name}' -l ${option}`;
      const argument = type === 'boolean' ? '' : FILES.test(value ?? '') ? ' -r -F' : ' -x';
      const values = choices ? ` -a ${fishQuote(choices.join(' '))}` : '';
      return `${from}${short ? ` -s ${short}` : ''}${argument}${values} -d ${fishQuote(help)}`;
    }),
  ]);
  const names = commands.map(([name]) => name).join(' ');
  return `# fish completion of panamax: panamax completion fish > ~/.config/fish/completions/panamax.fish
${lines.join('\n')}
complete -c panamax -n __fish_use_subcommand -f -a help -d 'Describes a command.'
complete -c panamax -n '__fish_seen_subcommand_from help' -f -a '${names}'
complete -c panamax -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'
`;
}

function unique(lines: readonly string[]): string[] {
  return [...new Set(lines)];
}

/** An argument of zsh's _arguments. */
function spec(name: string, { type, short, multiple, value, help, choices }: Option): string {
  const action = choices ? `(${choices.join(' ')})` : FILES.test(value ?? '') ? '_files' : '';
  const argument =
    type === 'boolean' ? '' : `:${value ?? 'VALUE'}:${action}`.replaceAll('[', '(').replaceAll(']', ')');
  const names = short ? `{-${short},--${name}}` : `--${name}`;
  const repeat = multiple ? "'*'" : '';
  return `        ${repeat}${names}'[${inBrackets(help)}]${quote(argument)}'`;
}

/** Text inside the brackets of an argument of _arguments. */
function inBrackets(text: string): string {
  return quote(text.replaceAll(/[[\]:\\]/g, String.raw`\$&`));
}

/** Text inside single quotes of a shell. */
function quote(text: string): string {
  return text.replaceAll("'", "'\\''");
}

function fishQuote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
