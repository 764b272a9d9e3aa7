// A shell text → the simple commands in it, each as literal words, and the files that redirections open. The only file
// that knows the parser. Its tree is walked by closed switches, so a node of a kind that nobody here thought of is a
// refusal; its words and their limits are read again from the text (shell-word.ts, tiling.ts), so its word is not enough.

import type {
  AndOr,
  Command,
  CommandArgument,
  CommandNode,
  CompoundList,
  HereDoc,
  Pipeline,
  Redirect,
  Redirection,
  Statement,
  Word,
} from 'unbash'
import { parse } from 'unbash'

import type { PathAccess } from '../../core/resource.ts'
import { COMMAND_BOUNDS } from './bounds.ts'
import { checkLiteralText } from './literal-text.ts'
import type { ShellToken } from './shell-token.ts'
import { readShellWord } from './shell-word.ts'
import { checkTiling } from './tiling.ts'
import { disagreement, Unresolved } from './unresolved.ts'

/** A file that a redirection opens; `target` is as written, quotes removed. */
export interface RedirectedFile {
  readonly target: string
  readonly access: PathAccess
}

export interface ShellText {
  /** Never empty; each has at least a name. In the order of the text. */
  readonly commands: readonly (readonly string[])[]
  readonly files: readonly RedirectedFile[]
}

/** @throws Unresolved when something in `source` is not literal. */
export function readShellText(source: string): ShellText {
  checkLiteralText(source)
  const script = parse(source)
  const walk = new Walk(source)
  if (script.shebang !== undefined) throw new Unresolved('a first line that names an interpreter')
  for (const statement of script.commands) walk.statement(statement, 0)
  // After the walk, whose reasons say more than "cannot be parsed", and before anything of it is used.
  if (script.errors !== undefined && script.errors.length > 0) throw new Unresolved('text that is not a shell command')
  checkTiling(source, walk.tokens)
  if (walk.commands.length === 0) throw new Unresolved('no command at all')
  return walk
}

/** What bash and dash give a meaning where a command begins. Those in use stand in no Command node. */
const RESERVED: ReadonlySet<string> = new Set(
  '! { } [[ ]] case coproc do done elif else esac fi for function if in select then time until while'.split(' '),
)

const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=/

class Walk implements ShellText {
  readonly commands: (readonly string[])[] = []
  readonly files: RedirectedFile[] = []
  readonly tokens: ShellToken[] = []
  readonly #source: string
  #words = 0

  constructor(source: string) {
    this.#source = source
  }

  statement(statement: Statement, depth: number): void {
    const { command } = statement
    if (command.type === 'AndOr') this.#andOr(command, depth)
    else this.#pipelineOrCommand(command, depth)
  }

  #andOr(list: AndOr, depth: number): void {
    for (const command of list.commands) this.#pipelineOrCommand(command, depth)
  }

  #pipelineOrCommand(node: Pipeline | CommandNode, depth: number): void {
    if (node.type !== 'Pipeline') {
      this.#command(node, depth)
      return
    }
    for (const prefix of node.prefixes) {
      if (prefix.type !== 'Negation') throw new Unresolved('the reserved word time, which shells read differently')
    }
    if (node.operators.includes('|&')) throw new Unresolved('the operator |&, which not every shell knows')
    for (const command of node.commands) this.#command(command, depth)
  }

  #list(list: CompoundList | undefined, depth: number): void {
    if (list === undefined) return
    if (depth >= COMMAND_BOUNDS.depth) throw new Unresolved(`more than ${COMMAND_BOUNDS.depth} levels of nesting`)
    for (const statement of list.commands) this.statement(statement, depth + 1)
  }

  #command(node: CommandNode, depth: number): void {
    switch (node.type) {
      case 'Command':
        this.#simple(node)
        return
      case 'Redirected':
        this.#command(node.command, depth)
        for (const redirection of node.redirects) this.#redirection(redirection)
        return
      case 'Subshell':
      case 'BraceGroup':
        this.#list(node.body, depth)
        return
      case 'If':
        this.#list(node.clause, depth)
        this.#list(node.then, depth)
        for (const { clause, then } of node.elif) {
          this.#list(clause, depth)
          this.#list(then, depth)
        }
        this.#list(node.else, depth)
        return
      case 'While':
        this.#list(node.clause, depth)
        this.#list(node.body, depth)
        return
      case 'For':
      case 'ArithmeticFor':
      case 'Select':
        throw new Unresolved('a loop over a variable: any variable can be one that programs or the shell look at')
      case 'Case':
        throw new Unresolved('a case statement')
      case 'Function':
        throw new Unresolved('a function definition, which gives a program name another meaning')
      case 'Coproc':
        throw new Unresolved('a coprocess')
      case 'TestCommand':
        throw new Unresolved('a test in [[ ]], which evaluates its words; use [ ]')
      case 'ArithmeticCommand':
        throw new Unresolved('an arithmetic command')
      default:
        throw unknownNode(node)
    }
  }

  #simple(command: Command): void {
    const words: string[] = []
    for (const part of command.prefix) {
      if (part.type === 'Assignment') throw assignment()
      this.#redirection(part)
    }
    const { name } = command
    // zsh and others run a program of their own for it, bash truncates the file.
    if (name === undefined) throw new Unresolved('a redirection without a command')
    words.push(this.#name(name))
    for (const part of command.suffix) {
      if (part.type === 'Word' || part.type === 'Assignment') words.push(this.#argument(part))
      else this.#redirection(part)
    }
    if (this.commands.length >= COMMAND_BOUNDS.commands) {
      throw new Unresolved(`more than ${COMMAND_BOUNDS.commands} commands in one text`)
    }
    this.commands.push(words)
  }

  #name(name: Word): string {
    const raw = this.#source.slice(name.pos, name.end)
    if (ASSIGNMENT.test(raw)) throw assignment()
    if (RESERVED.has(raw)) throw new Unresolved('a reserved word of the shell where a program should stand')
    this.tokens.push({ kind: 'name', pos: name.pos, end: name.end })
    return this.#word(name)
  }

  #argument(argument: CommandArgument): string {
    this.tokens.push({ kind: 'word', pos: argument.pos, end: argument.end })
    return this.#word(argument)
  }

  #word(word: CommandArgument): string {
    if (++this.#words > COMMAND_BOUNDS.words) throw new Unresolved(`more than ${COMMAND_BOUNDS.words} words`)
    const value = readShellWord(this.#source, word.pos, word.end)
    if (word.type === 'Word' && word.value !== value) throw disagreement()
    return value
  }

  #redirection(redirection: Redirection): void {
    const { descriptor } = redirection
    if (descriptor?.type === 'FileDescriptorVariable') throw new Unresolved('a file descriptor in a variable')
    if (descriptor !== undefined && descriptor.value > 2) {
      throw new Unresolved(
        'a file descriptor other than 0, 1 and 2, which may be one of the program that starts the shell',
      )
    }
    this.tokens.push({ kind: 'redirection', pos: redirection.pos, end: redirection.end })
    switch (redirection.type) {
      case 'Redirect':
        this.#redirect(redirection)
        return
      case 'HereString':
        this.#target(redirection, redirection.target)
        return
      case 'HereDoc':
        this.#heredoc(redirection)
        return
      default:
        throw unknownNode(redirection)
    }
  }

  #redirect(redirect: Redirect): void {
    const target = this.#target(redirect, redirect.target)
    switch (redirect.operator) {
      case '<':
        this.files.push({ target, access: 'read' })
        return
      case '>':
      case '>>':
      case '>|':
        this.files.push({ target, access: 'write' })
        return
      case '<>':
        this.files.push({ target, access: 'read' }, { target, access: 'write' })
        return
      case '>&':
      case '<&':
        if (/^[0-2]$/.test(this.#source.slice(redirect.target?.pos, redirect.end))) return
        throw new Unresolved('a redirection with & to something other than 0, 1 or 2; write > file 2>&1 for a file')
      case '&>':
      case '&>>':
        // To dash the & ends the command, and what follows the file is a program.
        throw new Unresolved('the operator &>, which not every shell knows; write > file 2>&1')
      default:
        throw unknownNode(redirect.operator)
    }
  }

  /** The one word of a redirection; there is nothing else in its span but descriptor, operator and blanks. */
  #target(redirection: Redirect | ({ readonly type: 'HereString' } & Redirection), target: Word | undefined): string {
    if (target === undefined) throw new Unresolved('a redirection to nothing')
    const head = this.#source.slice(redirection.pos, target.pos)
    const operator = head.replace(/^[0-2]/, '').replace(/[ \t]+$/, '')
    if (operator !== redirection.operator || target.end !== redirection.end) throw disagreement()
    return this.#word(target)
  }

  #heredoc(heredoc: HereDoc): void {
    const { delimiter, body, closing, operator } = heredoc
    if (operator !== '<<') throw new Unresolved('a here-document with <<-; use <<')
    if (delimiter === undefined || closing === undefined) throw new Unresolved('a here-document without its end')
    const source = this.#source
    const raw = source.slice(delimiter.pos, delimiter.end)
    const [, quote, end = ''] = /^(['"]?)([A-Za-z0-9_]+)\1$/.exec(raw) ?? []
    if (quote === undefined) throw new Unresolved('a here-document whose end is marked with more than one plain word')
    const head = source.slice(heredoc.pos, delimiter.pos).replace(/^0/, '')
    if (!/^<<[ \t]*$/.test(head) || delimiter.end !== heredoc.end) throw disagreement()
    // The body begins after the first line end, and a line end in quotes would not be one.
    const between = source.slice(delimiter.end, body.pos)
    if (between.indexOf('\n') !== between.length - 1 || body.end !== closing.pos) {
      throw new Unresolved('a here-document whose body does not begin on the next line')
    }
    const text = source.slice(body.pos, body.end)
    const lines = text === '' ? [] : text.split('\n')
    if (lines.pop() !== (text === '' ? undefined : '') || lines.includes(end)) throw disagreement()
    if (source.slice(closing.pos, closing.end) !== end) throw disagreement()
    if (quote === '' && /[$`\\]/.test(text)) {
      throw new Unresolved("an expansion or backslash in a here-document; quote its mark: <<'EOF'")
    }
    this.tokens.push({ kind: 'heredoc', pos: body.pos, end: closing.end })
  }
}

function assignment(): Unresolved {
  return new Unresolved('an assignment, which can change what is run (PATH, LD_PRELOAD, GIT_PAGER …)')
}

/** For what a closed switch over the parser's own types leaves over: a newer parser could know more. */
function unknownNode(_: never): Unresolved {
  return new Unresolved('syntax of a kind that is not known here')
}
