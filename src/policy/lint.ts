// What a policy that loads may still say by mistake. Reads the parsed document and not the compiled set, so that every
// finding has its line, and knows no more of the language than the names of its keys; decides nothing.

import { BREADTH_LINTS, envBreadth, hostBreadth, pathBreadth, programBreadth, rightBreadth } from '../core/breadth.ts'
import type { SourceDocument } from '../core/document.ts'
import { parseGlob } from '../core/glob.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { isJsonObject, itemsOf, type LintFinding, LintLog, type LintRule, memberOf, textsOf } from '../core/lint.ts'
import { pathPatternsMayMeet } from '../core/path-overlap.ts'
import { type PathPattern, parsePathPattern } from '../core/path-pattern.ts'
import { printable } from '../core/text.ts'

/** Every id {@link lintPolicy} can report. `docs/import.md` lists the same set. */
export const POLICY_LINTS = {
  ...BREADTH_LINTS,
  anyone_anything: { severity: 'warning', meaning: 'A permit of every tool for every node.' },
  any_tool: { severity: 'warning', meaning: 'A permit of every tool, also of those that are added later.' },
  any_node: {
    severity: 'warning',
    meaning: 'A role that every node has, or a permit for every node, without conditions.',
  },
  write_and_execute: { severity: 'warning', meaning: 'A permit under which what was written can be run.' },
  unconditional_unsafe: {
    severity: 'warning',
    meaning: 'A permit, without any condition, of a tool that is unsafe to repeat.',
  },
  approval_without_approvers: { severity: 'warning', meaning: 'A require_approval that does not say who may agree.' },
  call_limits_missing: {
    severity: 'info',
    meaning: 'Permits of the network, and no limits: a loop calls as fast as it can.',
  },
  process_limits_missing: { severity: 'info', meaning: 'A permit of programs without wall_ms and memory_mb.' },
} as const satisfies Readonly<Record<string, LintRule>>

export type PolicyLint = keyof typeof POLICY_LINTS
export type PolicyFinding = LintFinding<PolicyLint>

export interface PolicyLintOptions {
  /** Names of tools that some manifest declares without an effect, or as unsafe. Default none. */
  readonly unsafeTools?: readonly string[]
}

/** What is to be said of a policy document. It may be one that does not load: what cannot be read is passed over. */
export function lintPolicy(document: SourceDocument, options: PolicyLintOptions = {}): readonly PolicyFinding[] {
  const log = new LintLog<PolicyLint>(document, POLICY_LINTS)
  const root = document.value
  if (!isJsonObject(root)) return []
  const rules = itemsOf(memberOf(root, 'rules'))
  for (const [index, rule] of rules.entries()) {
    const at = ['rules', index]
    // A forbid cannot be too wide, and what a human agrees to was looked at.
    if (memberOf(rule, 'effect') === 'permit' && isJsonObject(rule))
      lintPermit(log, rule, at, options.unsafeTools ?? [])
    if (memberOf(rule, 'effect') === 'require_approval' && isJsonObject(rule)) lintApproval(log, rule, at)
  }
  for (const [index, ceiling] of itemsOf(memberOf(root, 'egress')).entries()) {
    lintHosts(log, ceiling, ['egress', index])
  }
  lintRoles(log, memberOf(root, 'roles'))
  lintLimits(log, root, rules)
  return log.ordered()
}

type Log = LintLog<PolicyLint>
type Place = readonly (string | number)[]

function lintPermit(log: Log, rule: JsonObject, at: Place, unsafe: readonly string[]): void {
  lintReach(log, rule, at)
  lintHosts(log, rule, at)
  const paths = memberOf(rule, 'paths')
  for (const access of ['read', 'write', 'execute'] as const) {
    for (const { text, index } of textsOf(memberOf(paths, access))) {
      log.remark(pathBreadth(text, access), [...at, 'paths', access, index])
    }
  }
  for (const { text, index } of textsOf(memberOf(rule, 'binaries'))) {
    const remark = programBreadth(text)
    if (remark?.rule === 'interpreter' && hasConditions(memberOf(rule, 'args'))) continue
    log.remark(remark, [...at, 'binaries', index])
  }
  for (const { text, index } of textsOf(memberOf(rule, 'env'))) log.remark(envBreadth(text), [...at, 'env', index])
  for (const { text, index } of textsOf(memberOf(rule, 'process_rights'))) {
    log.remark(rightBreadth(text), [...at, 'process_rights', index])
  }
  lintWriteAndExecute(log, rule, at)
  lintUnsafe(log, rule, at, unsafe)
  const limits = memberOf(rule, 'limits')
  const bounded = memberOf(limits, 'wall_ms') !== undefined && memberOf(limits, 'memory_mb') !== undefined
  if (textsOf(memberOf(rule, 'binaries')).length > 0 && !bounded) {
    log.add(
      'process_limits_missing',
      [...at, 'binaries'],
      'what is started may run and grow without end',
      'add limits: { wall_ms: …, memory_mb: … }',
      'key',
    )
  }
}

function lintReach(log: Log, rule: JsonObject, at: Place): void {
  const everyTool = hasStar(rule, 'tools')
  const everyNode = isForEveryNode(rule)
  if (everyTool && everyNode && memberOf(rule, 'skills') === undefined) {
    log.add('anyone_anything', [...at, 'tools'], 'every node may call every tool', 'name the roles and the tools')
  } else if (everyTool && !aboutProcessesOnly(rule)) {
    log.add('any_tool', [...at, 'tools'], 'every tool, also those that a skill adds later', 'name the tools')
  } else if (everyNode && !isNarrowed(rule) && !aboutProcessesOnly(rule)) {
    log.add(
      'any_node',
      [...at, hasStar(rule, 'roles') ? 'roles' : 'nodes'],
      'every node of every graph',
      'name the roles',
    )
  }
}

/** Such a permit allows no call: see docs/policy.md, Processes. */
function aboutProcessesOnly(rule: JsonObject): boolean {
  const concernsCalls = ['hosts', 'binaries', 'env', 'args', 'oauth_scopes'].some((key) => Object.hasOwn(rule, key))
  const paths = memberOf(rule, 'paths')
  const touches = memberOf(paths, 'read') !== undefined || memberOf(paths, 'write') !== undefined
  const concernsProcesses = ['libraries', 'process_rights'].some((key) => Object.hasOwn(rule, key))
  return !concernsCalls && !touches && (concernsProcesses || memberOf(paths, 'execute') !== undefined)
}

function hasStar(rule: JsonValue, key: string): boolean {
  return textsOf(memberOf(rule, key)).some(({ text }) => text === '*')
}

function isForEveryNode(rule: JsonObject): boolean {
  // With both, both must fit.
  const keys = ['roles', 'nodes'].filter((key) => Object.hasOwn(rule, key))
  return keys.length > 0 && keys.every((key) => hasStar(rule, key)) && !hasConditions(memberOf(rule, 'labels'))
}

function hasConditions(value: JsonValue | undefined): boolean {
  return isJsonObject(value) && Object.keys(value).length > 0
}

/** Whether something beside who and which tool must hold. */
function isNarrowed(rule: JsonObject): boolean {
  if (['args', 'facts', 'labels', 'during', 'residency', 'ask'].some((key) => hasConditions(memberOf(rule, key))))
    return true
  return ['after', 'before', 'methods'].some((key) => itemsOf(memberOf(rule, key)).length > 0)
}

function lintHosts(log: Log, rule: JsonValue, at: Place): void {
  for (const { text, index } of textsOf(memberOf(rule, 'hosts'))) {
    for (const remark of hostBreadth(text)) log.remark(remark, [...at, 'hosts', index])
  }
}

function lintWriteAndExecute(log: Log, rule: JsonObject, at: Place): void {
  const patterns = (value: JsonValue | undefined): readonly PathPattern[] =>
    textsOf(value).flatMap(({ text }) => {
      const parsed = parsePathPattern(text)
      return parsed.ok ? [parsed.pattern] : []
    })
  const paths = memberOf(rule, 'paths')
  const runs = ['binaries', 'libraries'].flatMap((key) => patterns(memberOf(rule, key)))
  const executes = [...patterns(memberOf(paths, 'execute')), ...runs]
  for (const { text, index } of textsOf(memberOf(paths, 'write'))) {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) continue
    const meets = executes.find((one) => pathPatternsMayMeet(parsed.pattern, one))
    if (meets === undefined) continue
    log.add(
      'write_and_execute',
      [...at, 'paths', 'write', index],
      `what is written here can be run: ${meets.text}`,
      'keep what is written apart from what is run',
    )
    return
  }
}

function lintUnsafe(log: Log, rule: JsonObject, at: Place, unsafe: readonly string[]): void {
  if (unsafe.length === 0 || isNarrowed(rule)) return
  for (const { text, index } of textsOf(memberOf(rule, 'tools'))) {
    const parsed = parseGlob(text, 'name')
    const tool = parsed.ok ? unsafe.find((name) => parsed.glob.matches(name)) : undefined
    if (tool === undefined) continue
    log.add(
      'unconditional_unsafe',
      [...at, 'tools', index],
      `"${printable(tool, 80)}" is unsafe to repeat, and nothing narrows this permit`,
      'add args, or require_approval',
    )
  }
}

function lintApproval(log: Log, rule: JsonObject, at: Place): void {
  if (textsOf(memberOf(memberOf(rule, 'approval'), 'approvers')).length > 0) return
  const on = Object.hasOwn(rule, 'approval') ? 'approval' : 'effect'
  log.add(
    'approval_without_approvers',
    [...at, on],
    'anybody who can answer may agree',
    'add approval: { approvers: [names] }',
  )
}

function lintRoles(log: Log, roles: JsonValue | undefined): void {
  if (!isJsonObject(roles)) return
  for (const [name, role] of Object.entries(roles)) {
    if (!hasStar(role, 'nodes')) continue
    log.add(
      'any_node',
      ['roles', name, 'nodes'],
      `every node has the role "${printable(name, 80)}"`,
      'name the nodes, or write roles: ["*"] where it is meant',
    )
  }
}

function lintLimits(log: Log, root: JsonObject, rules: readonly JsonValue[]): void {
  if (itemsOf(memberOf(root, 'limits')).length > 0) return
  const index = rules.findIndex(
    (rule) => memberOf(rule, 'effect') === 'permit' && itemsOf(memberOf(rule, 'hosts')).length > 0,
  )
  if (index === -1) return
  log.add(
    'call_limits_missing',
    ['rules', index, 'hosts'],
    'the network is permitted, and nothing says how often',
    'add limits: with kind: rate',
    'key',
  )
}
