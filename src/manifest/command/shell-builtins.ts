// What a bare word means to the shell itself before any program is looked for. Every builtin of bash and dash is in here:
// one that is not would be judged as a program of its name and do something else.

import { Unresolved } from './unresolved.ts'

/** Change what later words mean, or run text as a command. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['eval', 'runs text as a command'],
  ['source', 'runs a file in this shell'],
  ['.', 'runs a file in this shell'],
  ['exec', 'replaces the shell or its open files'],
  ['builtin', 'runs another builtin'],
  ['command', 'runs another command'],
  ['trap', 'runs text as a command later'],
  ['alias', 'gives a word another meaning'],
  ['unalias', 'gives a word another meaning'],
  ['enable', 'gives a word another meaning, or loads code'],
  ['hash', 'gives a program name another file'],
  ['export', 'sets variables'],
  ['declare', 'sets variables'],
  ['typeset', 'sets variables'],
  ['local', 'sets variables'],
  ['readonly', 'sets variables'],
  ['read', 'sets variables'],
  ['readarray', 'sets variables and can run text as a command'],
  ['mapfile', 'sets variables and can run text as a command'],
  ['getopts', 'sets variables'],
  ['let', 'evaluates text'],
  ['unset', 'removes variables and evaluates text'],
  ['set', 'changes how the shell reads and runs'],
  ['shopt', 'changes how the shell reads and runs'],
  ['shift', 'changes the parameters of the shell'],
  ['return', 'ends a function or file'],
  ['cd', 'changes what a relative path means'],
  ['chdir', 'changes what a relative path means'],
  ['pushd', 'changes what a relative path means'],
  ['popd', 'changes what a relative path means'],
  ['dirs', 'belongs to pushd'],
  ['umask', 'changes the rights of new files'],
  ['ulimit', 'changes the bounds of what runs'],
  ['bind', 'runs text as a command at a key'],
  ['complete', 'runs text as a command later'],
  ['compgen', 'runs text as a command'],
  ['compopt', 'belongs to completion'],
  ['fc', 'runs commands of the history'],
  ['history', 'reads and writes the history'],
  ['jobs', 'can run a command'],
  ['fg', 'belongs to job control'],
  ['bg', 'belongs to job control'],
  ['disown', 'belongs to job control'],
  ['suspend', 'stops the shell'],
  ['logout', 'belongs to login shells'],
  ['caller', 'belongs to debugging'],
  ['help', 'belongs to interactive use'],
  ['times', 'belongs to interactive use'],
  ['type', 'belongs to interactive use'],
])

/** Do their work in the shell, start nothing and open nothing. */
const INTERNAL: ReadonlySet<string> = new Set([':', 'exit', 'break', 'continue', 'wait'])

/** `printf %n` sets the variable that its argument names, PATH for one; `%(…)T` and `%Q` are bash alone. */
const CONVERSION = /%(?:%|[-+ #0']*(?:\*|[0-9]+)?(?:\.(?:\*|[0-9]*))?[bcdiouxXeEfFgGaAsq])/g

/**
 * What `words[0]`, a bare word, is to the shell: work of its own that names nothing, or what is judged as the program of
 * that name (for `echo printf true false test [ pwd kill` the shell does that program's work itself).
 *
 * @throws Unresolved when it is a builtin that changes meaning.
 */
export function readShellWordAsBuiltin(words: readonly string[]): 'internal' | 'program' {
  const [name = '', ...args] = words
  const why = REFUSED.get(name)
  if (why !== undefined) throw new Unresolved(`${name} ${why}`)
  if (INTERNAL.has(name)) {
    const plain = args.length === 0 || (name !== 'wait' && args.length === 1 && /^[0-9]{1,3}$/.test(args[0] ?? ''))
    if (!plain) throw new Unresolved(`${name} with arguments that are not one small number`)
    return 'internal'
  }
  if (name === 'printf') checkPrintf(args)
  // [ -v 'a[$(id)]' ] evaluates the subscript.
  if ((name === 'test' || name === '[') && args.some((word) => /^-[vR]$/.test(word))) {
    throw new Unresolved(`${name} with -v or -R, which evaluate text`)
  }
  return 'program'
}

function checkPrintf(args: readonly string[]): void {
  const format = args[0] === '--' ? (args[1] ?? '') : (args[0] ?? '')
  if (args[0] !== '--' && format.startsWith('-')) throw new Unresolved('printf with an option: -v sets a variable')
  if (format.replace(CONVERSION, '').includes('%')) {
    throw new Unresolved('printf with a conversion other than the usual ones: %n sets a variable')
  }
}
