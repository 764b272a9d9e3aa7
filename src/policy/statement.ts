// Whom, what and when a statement is about: the part that rules, limits and obligations have in common. Every mistake becomes
// a problem at its place, and compiling goes on, so that one loading tells all of them.

import type { ProblemOptions, SourceDocument } from '../core/document.ts'
import type { Glob } from '../core/glob.ts'
import { parseHostPattern } from '../core/host-pattern.ts'
import { parsePathPattern } from '../core/path-pattern.ts'
import { formatPointer } from '../core/pointer.ts'
import type { Problem, ProblemCode } from '../core/problem.ts'
import type { ProcessRight } from '../core/process-right.ts'
import { isEnvName, isName, isScopeToken } from '../core/text.ts'
import {
  askGuard,
  type Guard,
  labelGuard,
  nodeGuard,
  positionGuard,
  skillGuard,
  sourceGuard,
  timeGuard,
} from './guard.ts'
import type { Reach } from './reach.ts'
import type { Effect, Rule, RuleResources } from './rule.ts'
import type { RawAbout, RawResidency, RawRule } from './schema.ts'
import { compileTimeWindow } from './time-window.ts'
import type { SetVocabulary } from './vocabulary.ts'

export type Pointer = readonly (string | number)[]

/** Where problems of one document go. */
export class Reporter {
  readonly problems: Problem[] = []
  readonly document: SourceDocument

  constructor(document: SourceDocument) {
    this.document = document
  }

  report(code: ProblemCode, at: Pointer, message: string, options: ProblemOptions = {}): void {
    this.problems.push(this.document.problem(code, formatPointer(at), message, options))
  }
}

/** What {@link StatementCompiler} makes of a statement. */
export type StatementPart = Pick<
  Rule,
  | 'roles'
  | 'nodes'
  | 'everyone'
  | 'tools'
  | 'skills'
  | 'resources'
  | 'namesResources'
  | 'processOnly'
  | 'reach'
  | 'guards'
  | 'certain'
>

/** The lists that only a rule has. */
export interface ProcessLists {
  readonly libraries: readonly string[] | undefined
  readonly rights: readonly ProcessRight[] | undefined
}

export const NO_PROCESS_LISTS: ProcessLists = { libraries: undefined, rights: undefined }

type PatternParse<P> =
  | { readonly ok: true; readonly pattern: P }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

const NONE: readonly never[] = []
const NO_RESOURCES: RuleResources = {
  hosts: NONE,
  reads: NONE,
  writes: NONE,
  binaries: NONE,
  env: NONE,
  scopes: NONE,
  executes: NONE,
  libraries: NONE,
  rights: NONE,
}

/** Kinds of guards whose answer is known before there is a call. */
const KNOWN_BEFORE: ReadonlySet<Guard['about']> = new Set(['node', 'skill', 'labels', 'position'])

export class StatementCompiler {
  readonly #to: Reporter
  readonly #set: SetVocabulary

  constructor(to: Reporter, set: SetVocabulary) {
    this.#to = to
    this.#set = set
  }

  compile(raw: RawAbout, effect: Effect, at: Pointer, lists: ProcessLists = NO_PROCESS_LISTS): StatementPart {
    for (const key of ['labels', 'args', 'facts'] as const) {
      const named = raw[key]
      if (named === undefined || Object.keys(named).length > 0) continue
      this.#to.report('missing_key', [...at, key], `${key} names nothing`, { hint: 'leave it out to mean any' })
    }
    const resources = this.#resources(raw, at, lists)
    const reach = this.#reach(raw, at)
    const nodes = raw.nodes === undefined ? undefined : this.globs([...at, 'nodes'], raw.nodes)
    const skills = raw.skills === undefined ? undefined : this.globs([...at, 'skills'], raw.skills)
    const guards: Guard[] = []
    if (nodes !== undefined && raw.roles !== undefined) guards.push(nodeGuard(nodes))
    if (skills !== undefined) guards.push(skillGuard(skills, effect))
    if (raw.labels !== undefined) guards.push(labelGuard(this.labels([...at, 'labels'], raw.labels)))
    for (const side of ['after', 'before'] as const) {
      const globs = raw[side]
      if (globs !== undefined) guards.push(positionGuard(side, this.globs([...at, side], globs)))
    }
    guards.push(...this.#conditions('args', raw.args, at), ...this.#conditions('facts', raw.facts, at))
    guards.push(...this.#during(raw.during, [...at, 'during']))
    guards.push(...this.#source(raw.residency, effect, [...at, 'residency', 'source']))
    // Last: what the others have settled is asked of nobody.
    guards.push(...this.#ask(raw.ask, [...at, 'ask', 'engine']))
    return {
      roles: raw.roles === undefined ? undefined : this.roles([...at, 'roles'], raw.roles),
      everyone: raw.roles?.includes('*') ?? false,
      nodes,
      tools: this.globs([...at, 'tools'], raw.tools),
      skills,
      resources,
      namesResources: resources !== NO_RESOURCES,
      processOnly: resources !== NO_RESOURCES && !namesWhatCallsTouch(raw),
      reach,
      guards: exact(guards),
      certain: reach === undefined && guards.every(({ about }) => KNOWN_BEFORE.has(about)),
    }
  }

  /** A statement that says neither role nor node would be about everybody by omission. */
  requireWhom(id: string, raw: { readonly roles?: unknown; readonly nodes?: unknown }, at: Pointer): void {
    if (raw.roles !== undefined || raw.nodes !== undefined) return
    const hint = 'add roles: or nodes:; write roles: ["*"] to mean every node'
    this.#to.report('missing_key', at, `"${id}" does not say whom it is about`, { hint })
  }

  roles(at: Pointer, names: readonly string[]): readonly string[] {
    const { roles, usedRoles } = this.#set
    return names.map((name, index) => {
      usedRoles.add(name)
      if (name !== '*' && !roles.has(name)) {
        const known = [...roles.keys()].slice(0, 8).join(', ')
        const hint = roles.size === 0 ? 'define it under roles:' : `known roles: ${known}`
        this.#to.report('unknown_reference', [...at, index], 'no document defines this role', { hint })
      }
      return this.#set.text(name)
    })
  }

  globs(at: Pointer, texts: readonly string[]): readonly Glob[] {
    return this.patterns(at, texts, (text) => {
      const parsed = this.#set.glob(text)
      return parsed.ok ? { ok: true, pattern: parsed.glob } : parsed
    })
  }

  labels(at: Pointer, raw: Readonly<Record<string, readonly string[]>>): ReadonlyMap<string, readonly Glob[]> {
    return new Map(
      Object.entries(raw).map(([key, texts]) => [
        key,
        this.patterns([...at, key], texts, (text) => {
          const parsed = this.#set.textGlob(text)
          return parsed.ok ? { ok: true, pattern: parsed.glob } : parsed
        }),
      ]),
    )
  }

  patterns<P>(
    at: Pointer,
    texts: readonly string[] | undefined,
    parse: (text: string) => PatternParse<P>,
  ): readonly P[] {
    if (texts === undefined) return NONE
    const parsed = texts.map(parse)
    parsed.forEach((one, index) => {
      if (!one.ok)
        this.#to.report('invalid_pattern', [...at, index], one.reason, one.hint === undefined ? {} : { hint: one.hint })
    })
    return exact(parsed.flatMap((one) => (one.ok ? [one.pattern] : [])))
  }

  #resources(raw: RawAbout, at: Pointer, { libraries, rights }: ProcessLists): RuleResources {
    const { hosts, paths, binaries, env, oauth_scopes: scopes } = raw
    if ([hosts, paths, binaries, env, scopes, libraries, rights].every((list) => list === undefined))
      return NO_RESOURCES
    if (paths !== undefined && paths.read === undefined && paths.write === undefined && paths.execute === undefined) {
      // A forbid with an empty resource list would be a forbid of the call as such, and its author meant neither.
      this.#to.report('missing_key', [...at, 'paths'], 'paths names neither read nor write nor execute')
    }
    const names = (
      key: 'env' | 'oauth_scopes',
      list: readonly string[] | undefined,
      is: (text: string) => boolean,
      what: string,
    ): readonly string[] => {
      list?.forEach((text, index) => {
        if (!is(text)) this.#to.report('invalid_value', [...at, key, index], `not ${what}`)
      })
      return list === undefined ? NONE : list.map((text) => this.#set.text(text))
    }
    return {
      hosts: this.patterns([...at, 'hosts'], hosts, parseHostPattern),
      reads: this.patterns([...at, 'paths', 'read'], paths?.read, parsePathPattern),
      writes: this.patterns([...at, 'paths', 'write'], paths?.write, parsePathPattern),
      binaries: this.patterns([...at, 'binaries'], binaries, parsePathPattern),
      env: names('env', env, isEnvName, 'the name of an environment variable'),
      scopes: names('oauth_scopes', scopes, isScopeToken, 'a scope of RFC 6749'),
      executes: this.patterns([...at, 'paths', 'execute'], paths?.execute, parsePathPattern),
      libraries: this.patterns([...at, 'libraries'], libraries, parsePathPattern),
      rights: rights ?? NONE,
    }
  }

  #reach(raw: RawAbout, at: Pointer): Reach | undefined {
    const { methods, residency } = raw
    if (residency !== undefined && Object.values(residency).every((list) => list === undefined)) {
      this.#to.report('missing_key', [...at, 'residency'], 'residency names neither source nor destination nor outside')
    }
    const inside = this.#regions(residency?.destination, [...at, 'residency', 'destination'])
    const outside = this.#regions(residency?.outside, [...at, 'residency', 'outside'])
    if (methods === undefined && inside === undefined && outside === undefined) return undefined
    if (raw.hosts === undefined) {
      const key = methods === undefined ? 'residency' : 'methods'
      const hint = 'add hosts:; write hosts: ["*"] to mean every name'
      this.#to.report('missing_key', [...at, key], `${key} narrows hosts, and there are none`, { on: 'key', hint })
    }
    return {
      methods: methods === undefined ? undefined : new Set(methods),
      inside,
      outside,
      regions: this.#set.regions,
    }
  }

  #regions(names: readonly string[] | undefined, at: Pointer): ReadonlySet<string> | undefined {
    if (names === undefined) return undefined
    names.forEach((name, index) => {
      if (this.#set.regionHosts.has(name)) return
      const hint = 'define it under regions:'
      this.#to.report('unknown_reference', [...at, index], 'no document defines this region', { hint })
    })
    return new Set(names)
  }

  #conditions(about: 'args' | 'facts', raw: RawAbout['args'], at: Pointer): readonly Guard[] {
    if (raw === undefined) return NONE
    const guards: Guard[] = []
    for (const [pointer, condition] of Object.entries(raw)) {
      const compiled = this.#set.condition(pointer, condition)
      if (compiled.ok) {
        guards.push(this.#set.guard(about, compiled))
        continue
      }
      for (const { key, code, message, hint, on } of compiled.faults) {
        const options = { ...(on === undefined ? {} : { on }), ...(hint === undefined ? {} : { hint }) }
        this.#to.report(code, [...at, about, pointer, ...key], message, options)
      }
    }
    return guards
  }

  #during(raw: RawAbout['during'], at: Pointer): readonly Guard[] {
    if (raw === undefined) return NONE
    const compiled = compileTimeWindow(raw)
    if (compiled.ok) return [timeGuard(compiled.window)]
    for (const { key, code, message, hint } of compiled.faults) {
      const place = key === '' ? at : [...at, key]
      this.#to.report(code, place, message, hint === undefined ? {} : { hint })
    }
    return NONE
  }

  #source(raw: RawResidency | undefined, effect: Effect, at: Pointer): readonly Guard[] {
    const wanted = this.#regions(raw?.source, at)
    return wanted === undefined ? NONE : [sourceGuard(wanted, this.#set.regions.names, effect)]
  }

  #ask(raw: RawRule['ask'], at: Pointer): readonly Guard[] {
    if (raw === undefined) return NONE
    const { engines } = this.#set
    if (!isName(raw.engine)) this.#to.report('invalid_value', at, 'not the name of a condition port')
    if (engines !== undefined && !engines.has(raw.engine)) {
      const hint = engines.size === 0 ? 'give one to the gateway' : `known: ${[...engines].join(', ')}`
      this.#to.report('unknown_reference', at, 'no condition port has this name', { hint })
    }
    return [askGuard(raw.engine, raw.query)]
  }
}

function namesWhatCallsTouch({ hosts, paths, binaries, env, oauth_scopes: scopes }: RawAbout): boolean {
  return [hosts, paths?.read, paths?.write, binaries, env, scopes].some((list) => list !== undefined)
}

/** A list that was grown has room for sixteen more; with a dozen lists in each of 10,000 rules that is most of the memory. */
export function exact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice()
}
