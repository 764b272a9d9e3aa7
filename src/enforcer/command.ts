// A program to be started, checked before any enforcer sees it. Paths and arguments come from a model: what an execve
// would cut off at a NUL, look up in PATH or resolve through `..` is refused here instead of being mended.

import { AgentPortError } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { parsePath } from '../core/path.ts'
import { isEnvName } from '../core/text.ts'

export interface Command {
  /** Absolute path of the program, with no `.`, `..` or doubled slash. No shell is involved. */
  readonly file: string
  /** Without the program's own name. */
  readonly args: readonly string[]
  /** The whole environment; absent means an empty one. Nothing is inherited. */
  readonly env?: Readonly<Record<string, string>>
  /** Absolute path; absent leaves the choice to the enforcer. */
  readonly cwd?: string
  /** What the program reads; absent means nothing at all, `pipe` gives {@link ConfinedProcess.stdin}. */
  readonly stdin?: Uint8Array | 'pipe'
}

/** A frozen copy of `command`, each part read once. Throws `AgentPortError` ERR_COMMAND_INVALID. */
export function checkCommand(command: Command): Command {
  const { file, args, env, cwd, stdin } = command
  absolutePath(file, 'file')
  if (cwd !== undefined) absolutePath(cwd, 'cwd')
  if (!Array.isArray(args)) throw invalid('args is not a list')
  const variables = env === undefined ? [] : Object.entries(env as Readonly<Record<string, unknown>>)
  if (args.length + variables.length > LIMITS.argumentValues) throw invalid('there are too many arguments')
  // By index and not by its iterator, which an object from outside may have replaced by an endless one.
  const copied: unknown[] = []
  for (let index = 0; index < args.length && index < LIMITS.argumentValues; index++) copied.push(args[index])
  let length = 0
  for (const value of [...copied, ...variables.map(([, text]) => text)]) {
    if (typeof value !== 'string') throw invalid('an argument or variable is not text')
    // C strings end at a NUL: the program would see another argument than the one that was judged.
    if (value.includes('\0')) throw invalid('an argument or variable holds a NUL')
    length += value.length
  }
  if (length > LIMITS.argumentLength) throw invalid('the arguments are too long')
  if (variables.some(([name]) => !isEnvName(name))) throw invalid('env has a name that is not one')
  if (stdin !== undefined && stdin !== 'pipe' && !(stdin instanceof Uint8Array))
    throw invalid('stdin is neither bytes nor pipe')
  return Object.freeze({
    file,
    args: Object.freeze(copied as readonly string[]),
    env: Object.freeze(Object.fromEntries(variables as readonly (readonly [string, string])[])),
    ...(cwd === undefined ? {} : { cwd }),
    ...(stdin === undefined ? {} : { stdin: stdin === 'pipe' ? stdin : stdin.slice() }),
  })
}

function absolutePath(value: unknown, name: 'file' | 'cwd'): void {
  const parsed = typeof value === 'string' ? parsePath(value) : undefined
  if (parsed === undefined || !parsed.ok || parsed.path !== value) throw invalid(`${name} is not a plain absolute path`)
}

function invalid(detail: string): AgentPortError {
  return new AgentPortError('ERR_COMMAND_INVALID', detail)
}
