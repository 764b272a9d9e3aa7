// One document → its roles, regions, rules, limits, obligations and egress tables. What comes out beside problems is not to
// be used.

import { APPROVAL_DEFAULTS, type ApprovalDemand } from '../core/approval.ts'
import type { SourceDocument } from '../core/document.ts'
import { parseDuration } from '../core/duration.ts'
import { parseHostPattern } from '../core/host-pattern.ts'
import { compileRegExp } from '../core/linear-regexp.ts'
import type { Obligation } from '../core/obligation.ts'
import { formatPointer, parsePointer } from '../core/pointer.ts'
import type { Problem } from '../core/problem.ts'
import { NO_LIMITS, readProcessLimits } from '../core/process-limits.ts'
import { isSyscallName, SYSCALL_NAME_HINT } from '../core/syscall-name.ts'
import { isName } from '../core/text.ts'
import { type EgressTable, indexHosts } from './egress.ts'
import type { CountedBy, LimitSpec } from './limit.ts'
import { type Effect, makeRule, type Restraint, type Rule } from './rule.ts'
import type { RawEgress, RawLimit, RawObligation, RawPolicy, RawRule } from './schema.ts'
import {
  NO_PROCESS_LISTS,
  type Pointer,
  type ProcessLists,
  Reporter,
  StatementCompiler,
  type StatementPart,
} from './statement.ts'
import type { SetVocabulary } from './vocabulary.ts'

const NAME_RULE = 'ASCII letters and digits, inside also _ . : -'
const NONE: readonly never[] = []
const NO_RESTRAINT: Restraint = { limits: NO_LIMITS, forbiddenSyscalls: NONE, ephemeral: false }

export class DocumentCompiler {
  readonly #to: Reporter
  readonly #policy: RawPolicy
  readonly #set: SetVocabulary
  readonly #statements: StatementCompiler

  constructor(document: SourceDocument, policy: RawPolicy, set: SetVocabulary) {
    this.#to = new Reporter(document)
    this.#policy = policy
    this.#set = set
    this.#statements = new StatementCompiler(this.#to, set)
  }

  get problems(): readonly Problem[] {
    return this.#to.problems
  }

  /** Adds roles and regions to those of the set. Rules may use those of any document, so this comes first. */
  collectNames(): void {
    this.#collectRoles()
    for (const [name, { hosts }] of Object.entries(this.#policy.regions ?? {})) {
      const at = ['regions', name]
      if (!isName(name)) this.#to.report('invalid_value', at, `a region name is ${NAME_RULE}`, { on: 'key' })
      if (this.#set.regionHosts.has(name)) {
        this.#to.report('duplicate_name', at, `region "${name}" is defined twice`, { on: 'key' })
        continue
      }
      const patterns = this.#statements.patterns([...at, 'hosts'], hosts, (text) => {
        const parsed = parseHostPattern(text)
        if (!parsed.ok || (parsed.pattern.scheme === undefined && parsed.pattern.port === 'default')) return parsed
        return {
          ok: false,
          reason: 'a scheme or port in a region',
          hint: 'a region is about hosts: write the host alone',
        }
      })
      this.#set.regionHosts.set(name, patterns)
    }
  }

  #collectRoles(): void {
    const { roles } = this.#set
    for (const [name, raw] of Object.entries(this.#policy.roles ?? {})) {
      const at = ['roles', name]
      if (!isName(name)) this.#to.report('invalid_value', at, `a role name is ${NAME_RULE}`, { on: 'key' })
      const earlier = roles.get(name)
      if (earlier !== undefined) {
        this.#to.report('duplicate_name', at, `role "${name}" is also defined in ${earlier.document.file}`, {
          on: 'key',
        })
        continue
      }
      const isEmpty = raw.labels !== undefined && Object.keys(raw.labels).length === 0
      if ((raw.nodes === undefined && raw.labels === undefined && raw.asserted !== true) || isEmpty) {
        const hint = 'list its nodes or labels, or write asserted: true so that the graph may give it'
        this.#to.report('missing_key', at, `nobody can have role "${name}"`, { hint })
      }
      const nodes = raw.nodes === undefined ? NONE : this.#statements.globs([...at, 'nodes'], raw.nodes)
      const labels = raw.labels === undefined ? undefined : this.#statements.labels([...at, 'labels'], raw.labels)
      roles.set(name, { name, document: this.#to.document, asserted: raw.asserted ?? false, nodes, labels })
    }
  }

  /** Rules, limits and obligations, in the order of the document. */
  compileStatements(): readonly Rule[] {
    const { rules, limits = [], obligations = [] } = this.#policy
    return [
      ...rules.map((raw, index) => this.#rule(raw, ['rules', index])),
      ...limits.map((raw, index) => this.#limit(raw, ['limits', index])),
      ...obligations.map((raw, index) => this.#obligation(raw, ['obligations', index])),
    ]
  }

  compileEgress(): readonly EgressTable[] {
    return (this.#policy.egress ?? []).map((raw, index) => this.#egress(raw, ['egress', index]))
  }

  #rule(raw: RawRule, at: Pointer): Rule {
    const approval = this.#approval(raw, at)
    return makeRule({
      ...this.#statement(raw, raw.effect, at, { libraries: raw.libraries, rights: raw.process_rights }),
      restraint: this.#restraint(raw, at),
      approval,
      limit: undefined,
      obligation: undefined,
    })
  }

  #limit(raw: RawLimit, at: Pointer): Rule {
    const limit = this.#limitSpec(raw, at)
    return makeRule({
      ...this.#statement(raw, 'limit', at),
      restraint: NO_RESTRAINT,
      approval: undefined,
      limit,
      obligation: undefined,
    })
  }

  #obligation(raw: RawObligation, at: Pointer): Rule {
    const obligation = this.#obligationOf(raw, at)
    return makeRule({
      ...this.#statement(raw, 'oblige', at),
      restraint: NO_RESTRAINT,
      approval: undefined,
      limit: undefined,
      obligation,
    })
  }

  #statement(
    raw: RawRule | RawLimit | RawObligation,
    effect: Effect,
    at: Pointer,
    lists: ProcessLists = NO_PROCESS_LISTS,
  ): StatementPart & Pick<Rule, 'ref'> {
    const { file } = this.#to.document
    const { line, column } = this.#to.document.locate(formatPointer(at))
    this.#claimId(raw.id, at, `${file}:${line}`)
    this.#statements.requireWhom(raw.id, raw, at)
    if ((effect === 'limit' || effect === 'oblige') && raw.paths?.execute !== undefined) {
      const message = 'says nothing about calls, and this is about nothing else'
      this.#to.report('contradiction', [...at, 'paths', 'execute'], message, { on: 'key' })
    }
    const about = { id: raw.id, effect, file, line, column }
    const ref = Object.freeze(raw.reason === undefined ? about : { ...about, reason: raw.reason })
    return { ref, ...this.#statements.compile(raw, effect, at, lists) }
  }

  #claimId(id: string, at: Pointer, place: string): void {
    const { ids } = this.#set
    if (!isName(id)) this.#to.report('invalid_value', [...at, 'id'], `an id is ${NAME_RULE}`)
    const earlier = ids.get(id)
    if (earlier === undefined) ids.set(id, place)
    else this.#to.report('duplicate_name', [...at, 'id'], `id "${id}" is also defined at ${earlier}`)
  }

  #approval(raw: RawRule, at: Pointer): ApprovalDemand | undefined {
    const { approval } = raw
    if (raw.effect !== 'require_approval') {
      if (approval !== undefined) {
        this.#to.report('contradiction', [...at, 'approval'], 'only a require_approval asks for one', { on: 'key' })
      }
      return undefined
    }
    const approvers = approval?.approvers ?? NONE
    const quorum = approval?.quorum ?? APPROVAL_DEFAULTS.quorum
    const different = new Set(approvers).size
    if (different < approvers.length) {
      this.#to.report('duplicate_name', [...at, 'approval', 'approvers'], 'an approver is listed twice')
    } else if (approvers.length > 0 && different < quorum) {
      const message = `${quorum} have to agree and ${different} may`
      this.#to.report('contradiction', [...at, 'approval', 'quorum'], message)
    }
    return Object.freeze({
      rule: raw.id,
      approvers: Object.freeze([...approvers]),
      quorum,
      expiresMs: this.#duration(approval?.expires, [...at, 'approval', 'expires']) ?? APPROVAL_DEFAULTS.expiresMs,
      ...(raw.reason === undefined ? {} : { reason: raw.reason }),
    })
  }

  #duration(text: string | undefined, at: Pointer): number | undefined {
    if (text === undefined) return undefined
    const parsed = parseDuration(text)
    if (parsed.ok) return parsed.ms
    this.#to.report('invalid_value', at, parsed.reason, parsed.hint === undefined ? {} : { hint: parsed.hint })
    return undefined
  }

  #limitSpec(raw: RawLimit, at: Pointer): LimitSpec {
    const { kind, max, per, burst, by, amount } = raw
    const wrong = (key: 'per' | 'burst' | 'amount' | 'by' | 'max', message: string, hint?: string): void =>
      this.#to.report('contradiction', [...at, key], message, hint === undefined ? { on: 'key' } : { on: 'key', hint })
    if ((kind === 'rate' || kind === 'window') && per === undefined) {
      this.#to.report('missing_key', at, `a ${kind} needs per:`, { hint: 'write per: 1m' })
    }
    if (kind === 'concurrency' && per !== undefined) wrong('per', 'what runs at the same time is not counted by time')
    if (kind === 'concurrency' && amount !== undefined) wrong('amount', 'concurrency counts calls')
    if (kind === 'concurrency' && !Number.isInteger(max)) wrong('max', 'concurrency counts whole calls')
    if (kind !== 'rate' && burst !== undefined) wrong('burst', 'only a rate has a burst')
    if (by.includes('all') && by.length > 1)
      wrong('by', 'all is one counter for everybody, so nothing can be beside it')
    if (new Set(by).size < by.length) wrong('by', 'something is listed twice')
    const tokens = amount === undefined ? undefined : this.#set.tokens(amount)
    if (amount !== undefined && (tokens === undefined || tokens.length === 0)) {
      const hint = 'write "/cost" for the argument called cost'
      this.#to.report('invalid_value', [...at, 'amount'], 'not a JSON Pointer to one argument', { hint })
    }
    return {
      kind,
      max,
      perMs: this.#duration(per, [...at, 'per']),
      burst,
      by: [...by].sort() as CountedBy[],
      amount: tokens,
    }
  }

  #obligationOf(raw: RawObligation, at: Pointer): Obligation | undefined {
    const { id, redact, cap, pin_addresses: pin, rewrite, confirm } = raw
    const given = Object.entries({ redact, cap, pin_addresses: pin, rewrite, confirm }).filter(
      ([, value]) => value !== undefined,
    )
    if (given.length !== 1) {
      const hint = 'exactly one of redact, cap, pin_addresses, rewrite, confirm'
      const message = given.length === 0 ? 'nothing is obliged' : 'one obligation says one thing'
      this.#to.report(given.length === 0 ? 'missing_key' : 'contradiction', at, message, { hint })
      return undefined
    }
    if (redact !== undefined) return this.#redaction(id, redact, [...at, 'redact'])
    if (cap !== undefined) {
      const { on, max_bytes: maxBytes, max_text: maxText, max_items: maxItems } = cap
      if (maxBytes === undefined && maxText === undefined && maxItems === undefined) {
        const hint = 'max_bytes, max_text or max_items'
        this.#to.report('missing_key', [...at, 'cap'], 'a cap needs a bound', { hint })
      }
      return Object.freeze({
        kind: 'cap',
        id,
        on: Object.freeze([...on]),
        ...(maxBytes === undefined ? {} : { maxBytes }),
        ...(maxText === undefined ? {} : { maxText }),
        ...(maxItems === undefined ? {} : { maxItems }),
      })
    }
    if (rewrite !== undefined) {
      if (!isName(rewrite.tool)) this.#to.report('invalid_value', [...at, 'rewrite', 'tool'], `a tool is ${NAME_RULE}`)
      return Object.freeze({ kind: 'rewrite', id, tool: rewrite.tool })
    }
    if (confirm !== undefined) {
      if (!isName(confirm)) this.#to.report('invalid_value', [...at, 'confirm'], `an action is ${NAME_RULE}`)
      return Object.freeze({ kind: 'confirm', id, action: confirm })
    }
    return Object.freeze({ kind: 'pin_addresses', id })
  }

  #redaction(id: string, raw: NonNullable<RawObligation['redact']>, at: Pointer): Obligation {
    const { on, fields = [], patterns = [], secrets = false } = raw
    if (fields.length === 0 && patterns.length === 0 && !secrets) {
      this.#to.report('missing_key', at, 'nothing is redacted', { hint: 'fields, patterns or secrets' })
    }
    fields.forEach((field, index) => {
      const tokens = parsePointer(field)
      if (tokens !== undefined && tokens.length > 0) return
      this.#to.report('invalid_value', [...at, 'fields', index], 'not a JSON Pointer to a field')
    })
    patterns.forEach((pattern, index) => {
      const compiled = compileRegExp(pattern)
      const place = [...at, 'patterns', index]
      if (!compiled.ok) {
        this.#to.report(
          'invalid_pattern',
          place,
          compiled.reason,
          compiled.hint === undefined ? {} : { hint: compiled.hint },
        )
      } else if (compiled.regexp.test('')) {
        this.#to.report('invalid_pattern', place, 'a pattern that matches nothing at all', {
          hint: 'every place between two characters would be replaced',
        })
      }
    })
    return Object.freeze({
      kind: 'redact',
      id,
      on: Object.freeze([...on]),
      fields: Object.freeze([...fields]),
      patterns: Object.freeze([...patterns]),
      secrets,
    })
  }

  #egress(raw: RawEgress, at: Pointer): EgressTable {
    this.#claimId(raw.id, at, `${this.#to.document.file}:${this.#to.document.locate(formatPointer(at)).line}`)
    this.#statements.requireWhom(raw.id, raw, at)
    const hosts = this.#statements.patterns([...at, 'hosts'], raw.hosts, parseHostPattern)
    return {
      id: raw.id,
      roles: raw.roles === undefined ? undefined : this.#statements.roles([...at, 'roles'], raw.roles),
      everyone: raw.roles?.includes('*') ?? false,
      nodes: raw.nodes === undefined ? undefined : this.#statements.globs([...at, 'nodes'], raw.nodes),
      hosts,
      index: indexHosts(hosts),
      methods: raw.methods === undefined ? undefined : new Set(raw.methods),
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
        this.#to.report('contradiction', [...at, key], `${key} says how a permit is narrowed, and this is none`, {
          on: 'key',
          hint,
        })
      }
    }
    syscalls?.forEach((name, index) => {
      if (isSyscallName(name)) return
      const place = [...at, 'forbidden_syscalls', index]
      this.#to.report('invalid_pattern', place, 'not the name of a system call', { hint: SYSCALL_NAME_HINT })
    })
    return {
      limits: limits === undefined ? NO_LIMITS : readProcessLimits(limits),
      forbiddenSyscalls: syscalls ?? NONE,
      ephemeral: mode === 'ephemeral',
    }
  }
}
