// What a shell text or an argument vector would run: the binaries, their arguments and the files that redirections open.
// Answers for what the words themselves choose; refuses every text of which it cannot say. Trusts that the executor runs
// the text with bash or sh as docs/commands.md says: PATH as `search`, started in `base`, no startup files.

import { canonicalResource, type PathAccess, type Resource } from '../../core/resource.ts'
import { COMMAND_BOUNDS } from './bounds.ts'
import { hiddenCharacter } from './hidden-character.ts'
import { filePath, type ProgramPlace, readProgram } from './programs.ts'
import { readShellWordAsBuiltin } from './shell-builtins.ts'
import { readShellText } from './shell-syntax.ts'
import { Unresolved } from './unresolved.ts'

export interface CommandOptions {
  /** Canonical absolute directories that stand for PATH. A bare name is that file in each. Default: none. */
  readonly search?: readonly string[]
  /** Canonical absolute directory in which the command is started. Without it relative paths are refused. */
  readonly base?: string
  /** JSON Pointer into the arguments. Default `''`. */
  readonly from?: string
}

export type CommandReading =
  | {
      readonly ok: true
      /** One vector a simple command, quotes removed, in the order of the text. */
      readonly commands: readonly (readonly string[])[]
      /** Binaries and paths, each once. */
      readonly resources: readonly Resource[]
    }
  /** One line; quotes nothing of the command but names of programs and options that are known here. */
  | { readonly ok: false; readonly reason: string }

/** Reads a text that a shell will be given. Never throws on `text`; linear in it. */
export function readCommand(text: string, options: CommandOptions = {}): CommandReading {
  return reading(options, (result) => {
    if (text.length > COMMAND_BOUNDS.length) throw tooLong()
    const hidden = hiddenCharacter(text)
    if (hidden !== undefined) throw new Unresolved(hidden)
    const { commands, files } = readShellText(text)
    for (const [index, words] of commands.entries()) {
      result.within(commands.length === 1 ? '' : `command ${index + 1}: `)
      const [name = ''] = words
      const internal = !name.includes('/') && readShellWordAsBuiltin(words) === 'internal'
      if (!internal) result.run(words)
    }
    result.within('redirection: ')
    for (const { target, access } of files) result.open(target, access)
    return commands
  })
}

/** Reads a list of arguments that is executed without a shell; the first is the program. Never throws on `argv`. */
export function readArgumentVector(argv: readonly string[], options: CommandOptions = {}): CommandReading {
  return reading(options, (result) => {
    if (argv.length === 0) throw new Unresolved('no command at all')
    if (argv.length > COMMAND_BOUNDS.words) throw new Unresolved(`more than ${COMMAND_BOUNDS.words} words`)
    let length = 0
    for (const word of argv) {
      length += word.length
      if (length > COMMAND_BOUNDS.length) throw tooLong()
      const hidden = hiddenCharacter(word)
      if (hidden !== undefined) throw new Unresolved(hidden)
    }
    result.run(argv)
    return [argv]
  })
}

function tooLong(): Unresolved {
  return new Unresolved(`more than ${COMMAND_BOUNDS.length} characters`)
}

function reading(options: CommandOptions, read: (result: Result) => readonly (readonly string[])[]): CommandReading {
  const result = new Result(options)
  try {
    const commands = read(result)
    return { ok: true, commands, resources: Object.freeze([...result.resources.values()]) }
  } catch (cause) {
    // Anything else is a defect of the parser or of ours: nothing was established either way.
    const reason = cause instanceof Unresolved ? cause.message : 'text that the parser fails on'
    return { ok: false, reason: `${result.place}${reason}` }
  }
}

class Result {
  readonly resources = new Map<string, Resource>()
  place = ''
  readonly #place: ProgramPlace
  readonly #from: string

  constructor(options: CommandOptions) {
    this.#place = { search: options.search ?? [], base: options.base }
    this.#from = options.from ?? ''
  }

  within(place: string): void {
    this.place = place
  }

  run(argv: readonly string[]): void {
    const { binaries, scripts } = readProgram(argv, this.#place)
    for (const path of binaries) this.#add(`run ${path}`, { kind: 'binary', path, from: this.#from })
    for (const path of scripts) this.#add(`read ${path}`, { kind: 'path', path, access: 'read', from: this.#from })
  }

  open(target: string, access: PathAccess): void {
    const path = filePath(target, this.#place, 'its file')
    // bash opens a connection instead of a file.
    if (/^\/dev\/(?:tcp|udp)(?:\/|$)/.test(path))
      throw new Unresolved('a network connection by way of /dev/tcp or /dev/udp')
    this.#add(`${access} ${path}`, { kind: 'path', path, access, from: this.#from })
  }

  #add(key: string, resource: Resource): void {
    if (!this.resources.has(key)) this.resources.set(key, canonicalResource(resource))
  }
}
