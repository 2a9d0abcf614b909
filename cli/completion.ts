/** Completion of commands and options for shells, made from the commands themselves. */
import type { Command } from 'commander'
import { Failure } from './failure.ts'

type Words = { name: string; options: string[] }

const wordsOf = (program: Command): Words[] =>
  program.commands.map((command) => ({
    name: command.name(),
    options: [...command.options, ...program.options].flatMap(({ long }) => long ?? []).concat('--help'),
  }))

const bash = (words: Words[]) => `_sendense() {
  local current=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${words.map(({ name }) => name).join(' ')}" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${words.map(({ name, options }) => `    ${name}) COMPREPLY=($(compgen -W "${options.join(' ')}" -- "$current")) ;;`).join('\n')}
  esac
}
complete -o default -F _sendense sendense`

const zsh = (words: Words[]) => `#compdef sendense
autoload -U +X bashcompinit && bashcompinit
${bash(words)}`

const fish = (words: Words[]) =>
  [
    `complete -c sendense -f -n __fish_use_subcommand -a "${words.map(({ name }) => name).join(' ')}"`,
    ...words.flatMap(({ name, options }) =>
      options.map(
        (option) => `complete -c sendense -n "__fish_seen_subcommand_from ${name}" -l ${option.replace(/^--/, '')}`,
      ),
    ),
  ].join('\n')

const shells: Record<string, (words: Words[]) => string> = { bash, zsh, fish }

/** @throws Failure */
export const completionFor = (shell: string, program: Command): string => {
  const make = shells[shell]
  if (!make) throw new Failure('usage', `There is completion for ${Object.keys(shells).join(', ')}`)
  return make(wordsOf(program))
}
