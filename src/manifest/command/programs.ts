// One argument vector → the binaries it runs, as far as its words choose them, and the script that an interpreter is
// given. A launcher that can be seen through is followed to the program it starts.

import { LIMITS } from '../../core/limits.ts'
import { parsePath } from '../../core/path.ts'
import type { Interpreter } from './program-rule.ts'
import { type KnownProgram, knownProgram } from './program-rules.ts'
import { refusedOption } from './refused-options.ts'
import { Unresolved } from './unresolved.ts'

export interface ProgramPlace {
  /** Canonical absolute directories that stand for PATH; empty: bare names cannot be told. */
  readonly search: readonly string[]
  /** Canonical absolute directory that relative names are resolved against. */
  readonly base: string | undefined
}

/** What one vector runs. */
export interface ProgramRun {
  readonly binaries: readonly string[]
  /** Canonical absolute paths of the files that are read as code. */
  readonly scripts: readonly string[]
}

/** @throws Unresolved when it cannot be told what `argv` runs. */
export function readProgram(argv: readonly string[], place: ProgramPlace): ProgramRun {
  const binaries: string[] = []
  const scripts: string[] = []
  let rest = argv
  for (;;) {
    const [name = '', ...args] = rest
    binaries.push(...resolve(name, place))
    const known = knownProgram(name)
    if (known === undefined) break
    const next = applyRule(known, args, place, scripts)
    if (next === undefined) break
    rest = args.slice(next)
  }
  return { binaries, scripts }
}

/** How many words of a launcher come before its program; `undefined` when nothing more is run. */
function applyRule(
  { name, rule }: KnownProgram,
  args: readonly string[],
  place: ProgramPlace,
  scripts: string[],
): number | undefined {
  switch (rule.kind) {
    case 'refused':
      throw new Unresolved(`${name} ${rule.why}`)
    case 'options': {
      const option = refusedOption(args, rule.options)
      if (option === undefined) return undefined
      throw new Unresolved(`${name} with ${option}, which can make it run other programs`)
    }
    case 'checked': {
      const fault = rule.check(args)
      if (fault === undefined) return undefined
      throw new Unresolved(`${name} with ${fault}`)
    }
    case 'interpreter':
      scripts.push(readScript(rule.interpreter, name, args, place))
      return undefined
    case 'launcher': {
      const operand = rule.operand(args)
      if (typeof operand === 'number') return operand
      throw new Unresolved(`${name} with ${operand}`)
    }
  }
}

function readScript(interpreter: Interpreter, name: string, args: readonly string[], place: ProgramPlace): string {
  const script = args.find((word) => !interpreter.options.includes(word))
  if (script === undefined) throw new Unresolved(`${name} without a script: it would run its input`)
  if (script.startsWith('-'))
    throw new Unresolved(`${name} with an option that is not known to be harmless; name a script file`)
  if (interpreter.needsSlash === true && !script.includes('/')) {
    throw new Unresolved(
      `${name} with a script name without a slash, which is looked for in PATH too; write ./ before it`,
    )
  }
  if (interpreter.endings?.every((ending) => !script.endsWith(ending)) === true) {
    throw new Unresolved(`${name} with a script whose name does not end in ${interpreter.endings.join(', ')}`)
  }
  const path = filePath(script, place, `the script of ${name}`)
  // A name for whatever another command or a here-document writes.
  if (/^\/(?:dev|proc)\//.test(path)) throw new Unresolved(`${name} with a script that is not a file of its own`)
  return path
}

/** @throws Unresolved when `text` is not a path, or a relative one and there is no base. */
export function filePath(text: string, place: ProgramPlace, what: string): string {
  const parsed = parsePath(text, place.base === undefined ? {} : { base: place.base })
  if (parsed.ok) return parsed.path
  const relative = place.base === undefined && parsed.reason === 'a relative path'
  throw new Unresolved(
    relative ? `${what} is a relative path, and the mapping has no base` : `${what}: ${parsed.reason}`,
  )
}

const BARE_NAME = /^(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*|\[)$/
const NAMED_PATH = /^[A-Za-z0-9_./+@:,-]*\/[A-Za-z0-9_.+-]+$/

function resolve(name: string, place: ProgramPlace): readonly string[] {
  if (name.includes('/')) {
    if (!NAMED_PATH.test(name)) throw new Unresolved('the path of a program with unusual characters')
    return [filePath(name, place, 'the path of a program')]
  }
  if (!BARE_NAME.test(name)) throw new Unresolved('the name of a program with unusual characters')
  if (place.search.length === 0) {
    throw new Unresolved(
      'a program named without its path; write an absolute path, or give the mapping search directories',
    )
  }
  return place.search.map((directory) => {
    const path = directory === '/' ? `/${name}` : `${directory}/${name}`
    if (path.length > LIMITS.pathLength) throw new Unresolved('the path of a program that is too long')
    return path
  })
}
