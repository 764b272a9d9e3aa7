// One document → its roles and rules. Every mistake becomes a problem at its place, and compiling goes on, so that one
// loading tells all of them; what comes out beside problems is not to be used.

import type { ProblemOptions, SourceDocument } from '../core/document.ts'
import { type Glob, type ParsedGlob, parseGlob } from '../core/glob.ts'
import { parseHostPattern } from '../core/host-pattern.ts'
import { parsePathPattern } from '../core/path-pattern.ts'
import { formatPointer, parsePointer } from '../core/pointer.ts'
import type { Problem, ProblemCode } from '../core/problem.ts'
import { NO_LIMITS, readProcessLimits } from '../core/process-limits.ts'
import { isSyscallName, SYSCALL_NAME_HINT } from '../core/syscall-name.ts'
import { isEnvName, isName } from '../core/text.ts'
import { type CompiledCondition, type Condition, compileCondition } from './condition.ts'
import type { Role } from './roles.ts'
import type { Restraint, Rule, RuleResources } from './rule.ts'
import type { RawCondition, RawPolicy, RawRule } from './schema.ts'

/** A role and where it is defined, for problems that are found after it was read. */
export interface DefinedRole extends Role {
  readonly document: SourceDocument
}

/** What the documents of one set share. */
export class SetVocabulary {
  readonly roles: Map<string, DefinedRole> = new Map()
  readonly usedRoles: Set<string> = new Set()
  /** Rule id → `file:line`. */
  readonly ids: Map<string, string> = new Map()
  // Thousands of rules name the same few tools, roles and arguments. Each is compiled and kept once: that is most of the
  // memory of a large set, and most of what a decision has to fetch into the cache.
  readonly #globs = new Map<string, ParsedGlob>()
  readonly #texts = new Map<string, string>()
  readonly #pointers = new Map<string, readonly string[] | undefined>()
  readonly #conditions = new Map<string, CompiledCondition>()

  glob(text: string): ParsedGlob {
    let parsed = this.#globs.get(text)
    if (parsed === undefined) {
      parsed = parseGlob(text, 'name')
      this.#globs.set(text, parsed)
    }
    return parsed
  }

  text(text: string): string {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    this.#texts.set(text, text)
    return text
  }

  condition(pointer: string, raw: RawCondition): CompiledCondition {
    const key = `${pointer} ${JSON.stringify(raw)}`
    let compiled = this.#conditions.get(key)
    if (compiled === undefined) {
      compiled = compileCondition(this.text(pointer), this.#tokens(pointer), raw)
      this.#conditions.set(key, compiled)
    }
    return compiled
  }

  #tokens(pointer: string): readonly string[] | undefined {
    if (!this.#pointers.has(pointer)) this.#pointers.set(pointer, parsePointer(pointer))
    return this.#pointers.get(pointer)
  }
}

type Pointer = readonly (string | number)[]

type PatternParse<P> =
  | { readonly ok: true; readonly pattern: P }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

const NAME_RULE = 'ASCII letters and digits, inside also _ . : -'
const NONE: readonly never[] = []
const NO_RESOURCES: RuleResources = {
  hosts: NONE,
  reads: NONE,
  writes: NONE,
  binaries: NONE,
  env: NONE,
  executes: NONE,
  libraries: NONE,
  rights: NONE,
}
const NO_RESTRAINT: Restraint = { limits: NO_LIMITS, forbiddenSyscalls: NONE, ephemeral: false }

export class DocumentCompiler {
  readonly problems: Problem[] = []
  readonly #document: SourceDocument
  readonly #policy: RawPolicy
  readonly #set: SetVocabulary

  constructor(document: SourceDocument, policy: RawPolicy, set: SetVocabulary) {
    this.#document = document
    this.#policy = policy
    this.#set = set
  }

  /** Adds the roles of the document to those of the set. Rules may use roles of any document, so this comes first. */
  collectRoles(): void {
    const { roles } = this.#set
    for (const [name, raw] of Object.entries(this.#policy.roles ?? {})) {
      const at = ['roles', name]
      if (!isName(name)) this.#report('invalid_value', at, `a role name is ${NAME_RULE}`, { on: 'key' })
      const earlier = roles.get(name)
      if (earlier !== undefined) {
        this.#report('duplicate_name', at, `role "${name}" is also defined in ${earlier.document.file}`, { on: 'key' })
        continue
      }
      if (raw.nodes === undefined && raw.asserted !== true) {
        const hint = 'list its nodes, or write asserted: true so that the graph may give it'
        this.#report('missing_key', at, `nobody can have role "${name}"`, { hint })
      }
      const nodes = raw.nodes === undefined ? NONE : this.#globs([...at, 'nodes'], raw.nodes)
      roles.set(name, { name, document: this.#document, asserted: raw.asserted ?? false, nodes })
    }
  }

  compileRules(): readonly Rule[] {
    return this.#policy.rules.map((raw, index) => this.#rule(raw, ['rules', index]))
  }

  #rule(raw: RawRule, at: Pointer): Rule {
    const { file } = this.#document
    const { line, column } = this.#document.locate(formatPointer(at))
    this.#claimId(raw.id, at, `${file}:${line}`)
    if (raw.roles === undefined && raw.nodes === undefined) {
      const hint = 'add roles: or nodes:; write roles: ["*"] to mean every node'
      this.#report('missing_key', at, `rule "${raw.id}" does not say whom it is about`, { hint })
    }
    const about = { id: raw.id, effect: raw.effect, file, line, column }
    const ref = Object.freeze(raw.reason === undefined ? about : { ...about, reason: raw.reason })
    const resources = this.#resources(raw, at)
    return {
      ref,
      refs: Object.freeze([ref]),
      roles: raw.roles === undefined ? undefined : this.#roles([...at, 'roles'], raw.roles),
      everyone: raw.roles?.includes('*') ?? false,
      nodes: raw.nodes === undefined ? undefined : this.#globs([...at, 'nodes'], raw.nodes),
      tools: this.#globs([...at, 'tools'], raw.tools),
      skills: raw.skills === undefined ? undefined : this.#globs([...at, 'skills'], raw.skills),
      resources,
      namesResources: resources !== NO_RESOURCES,
      processOnly: resources !== NO_RESOURCES && !namesWhatCallsTouch(raw),
      restraint: this.#restraint(raw, at),
      conditions: raw.args === undefined ? NONE : this.#conditions([...at, 'args'], raw.args),
    }
  }

  #claimId(id: string, at: Pointer, place: string): void {
    const { ids } = this.#set
    if (!isName(id)) this.#report('invalid_value', [...at, 'id'], `a rule id is ${NAME_RULE}`)
    const earlier = ids.get(id)
    if (earlier === undefined) ids.set(id, place)
    else this.#report('duplicate_name', [...at, 'id'], `rule id "${id}" is also defined at ${earlier}`)
  }

  #roles(at: Pointer, names: readonly string[]): readonly string[] {
    const { roles, usedRoles } = this.#set
    return names.map((name, index) => {
      usedRoles.add(name)
      if (name !== '*' && !roles.has(name)) {
        const known = [...roles.keys()].slice(0, 8).join(', ')
        const hint = roles.size === 0 ? 'define it under roles:' : `known roles: ${known}`
        this.#report('unknown_reference', [...at, index], 'no document defines this role', { hint })
      }
      return this.#set.text(name)
    })
  }

  #resources(raw: RawRule, at: Pointer): RuleResources {
    const { hosts, paths, binaries, env, libraries, process_rights: rights } = raw
    if ([hosts, paths, binaries, env, libraries, rights].every((list) => list === undefined)) return NO_RESOURCES
    if (paths !== undefined && paths.read === undefined && paths.write === undefined && paths.execute === undefined) {
      // A forbid with an empty resource list would be a forbid of the call as such, and its author meant neither.
      this.#report('missing_key', [...at, 'paths'], 'paths names neither read nor write nor execute')
    }
    return {
      hosts: this.#patterns([...at, 'hosts'], hosts, parseHostPattern),
      reads: this.#patterns([...at, 'paths', 'read'], paths?.read, parsePathPattern),
      writes: this.#patterns([...at, 'paths', 'write'], paths?.write, parsePathPattern),
      binaries: this.#patterns([...at, 'binaries'], binaries, parsePathPattern),
      env: env === undefined ? NONE : this.#envNames([...at, 'env'], env),
      executes: this.#patterns([...at, 'paths', 'execute'], paths?.execute, parsePathPattern),
      libraries: this.#patterns([...at, 'libraries'], libraries, parsePathPattern),
      rights: rights ?? NONE,
    }
  }

  #restraint(raw: RawRule, at: Pointer): Restraint {
    const { limits, forbidden_syscalls: syscalls, execution_mode: mode } = raw
    if (limits === undefined && syscalls === undefined && mode === undefined) return NO_RESTRAINT
    if (raw.effect !== 'permit') {
      for (const key of ['limits', 'forbidden_syscalls', 'execution_mode'] as const) {
        if (raw[key] === undefined) continue
        const hint = 'write it in the permit under which processes are started'
        // Nothing is started under such a rule, so what looks like a bound would bind nothing.
        this.#report('contradiction', [...at, key], `${key} says how a permit is narrowed, and this is none`, {
          on: 'key',
          hint,
        })
      }
    }
    syscalls?.forEach((name, index) => {
      if (isSyscallName(name)) return
      const place = [...at, 'forbidden_syscalls', index]
      this.#report('invalid_pattern', place, 'not the name of a system call', { hint: SYSCALL_NAME_HINT })
    })
    return {
      limits: limits === undefined ? NO_LIMITS : readProcessLimits(limits),
      forbiddenSyscalls: syscalls ?? NONE,
      ephemeral: mode === 'ephemeral',
    }
  }

  #envNames(at: Pointer, names: readonly string[]): readonly string[] {
    return names.map((name, index) => {
      if (!isEnvName(name)) this.#report('invalid_value', [...at, index], 'not the name of an environment variable')
      return this.#set.text(name)
    })
  }

  #globs(at: Pointer, texts: readonly string[]): readonly Glob[] {
    return this.#patterns(at, texts, (text) => {
      const parsed = this.#set.glob(text)
      return parsed.ok ? { ok: true, pattern: parsed.glob } : parsed
    })
  }

  #patterns<P>(
    at: Pointer,
    texts: readonly string[] | undefined,
    parse: (text: string) => PatternParse<P>,
  ): readonly P[] {
    if (texts === undefined) return NONE
    const parsed = texts.map(parse)
    parsed.forEach((one, index) => {
      if (!one.ok)
        this.#report('invalid_pattern', [...at, index], one.reason, one.hint === undefined ? {} : { hint: one.hint })
    })
    return exact(parsed.flatMap((one) => (one.ok ? [one.pattern] : [])))
  }

  #conditions(at: Pointer, args: NonNullable<RawRule['args']>): readonly Condition[] {
    const conditions: Condition[] = []
    for (const [pointer, raw] of Object.entries(args)) {
      const compiled = this.#set.condition(pointer, raw)
      if (compiled.ok) conditions.push(compiled.condition)
      else {
        for (const { key, code, message, hint, on = 'value' } of compiled.faults) {
          const place = key === '' ? [...at, pointer] : [...at, pointer, key]
          this.#report(code, place, message, hint === undefined ? { on } : { on, hint })
        }
      }
    }
    return exact(conditions)
  }

  #report(code: ProblemCode, at: Pointer, message: string, options: ProblemOptions = {}): void {
    this.problems.push(this.#document.problem(code, formatPointer(at), message, options))
  }
}

function namesWhatCallsTouch({ hosts, paths, binaries, env }: RawRule): boolean {
  return [hosts, paths?.read, paths?.write, binaries, env].some((list) => list !== undefined)
}

/** A list that was grown has room for sixteen more; with a dozen lists in each of 10,000 rules that is most of the memory. */
function exact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice()
}
