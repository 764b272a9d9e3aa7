// Whether what a manifest asks for is inside what some rule permits. Conservative: what cannot be shown to be inside is
// reported. A rule counts whatever its role or node, because the manifest says nothing about graph positions; the
// decision at run time does.

import type { HostPattern } from '../core/host-pattern.ts'
import { hostPatternContains } from '../core/host-pattern.ts'
import type { PathPattern } from '../core/path-pattern.ts'
import { parsePathPattern, pathPatternContains } from '../core/path-pattern.ts'
import type { ProcessRight } from '../core/process-right.ts'
import type { EgressTable } from './egress.ts'
import { appliesToSkill, type Rule } from './rule.ts'

/** What a manifest asks for, each with its RFC 6901 pointer in the manifest. */
export interface Capabilities {
  readonly skill: string
  readonly tools: readonly Asked<string>[]
  readonly hosts: readonly Asked<HostPattern>[]
  readonly reads: readonly Asked<PathPattern>[]
  readonly writes: readonly Asked<PathPattern>[]
  readonly binaries: readonly Asked<string>[]
  readonly env: readonly Asked<string>[]
  readonly executes: readonly Asked<PathPattern>[]
  readonly libraries: readonly Asked<PathPattern>[]
  readonly rights: readonly Asked<ProcessRight>[]
  /** OAuth scopes. */
  readonly scopes?: readonly Asked<string>[]
}

export interface Asked<T> {
  readonly value: T
  readonly pointer: string
}

/** One thing a manifest asks for and no rule grants. */
export interface Excess {
  readonly kind: 'tool' | 'host' | 'read' | 'write' | 'binary' | 'env' | 'execute' | 'library' | 'right' | 'scope'
  readonly text: string
  readonly pointer: string
}

export function findExcess(
  rules: readonly Rule[],
  egress: readonly EgressTable[],
  asked: Capabilities,
): readonly Excess[] {
  const grants = rules.filter((rule) => rule.ref.effect !== 'forbid' && appliesToSkill(rule, asked.skill))
  // Of what only a process can use. A profile is fixed before there are arguments or approvals, so that a grant that
  // depends on them is none.
  const processGrants = grants.filter(({ effect, certain }) => effect === 'permit' && certain)
  const excess: Excess[] = []
  const check = <T>(
    kind: Excess['kind'],
    list: readonly Asked<T>[],
    text: (value: T) => string,
    granted: (rule: Rule, value: T) => boolean,
    granting: readonly Rule[] = grants,
  ): void => {
    for (const { value, pointer } of list) {
      if (!granting.some((rule) => granted(rule, value))) excess.push({ kind, text: text(value), pointer })
    }
  }
  const patternText = (pattern: { readonly text: string }): string => pattern.text
  const plain = (value: string): string => value
  check('tool', asked.tools, plain, (rule, tool) => !rule.processOnly && rule.tools.some((glob) => glob.matches(tool)))
  // Whatever a permit says: what no egress table lists is out of everybody's reach.
  const isReachable = (host: HostPattern): boolean =>
    egress.length === 0 || egress.some(({ hosts }) => hosts.some((outer) => hostPatternContains(outer, host)))
  check(
    'host',
    asked.hosts,
    patternText,
    (rule, host) => isReachable(host) && rule.resources.hosts.some((outer) => hostPatternContains(outer, host)),
  )
  check('read', asked.reads, patternText, (rule, path) =>
    rule.resources.reads.some((outer) => pathPatternContains(outer, path)),
  )
  check('write', asked.writes, patternText, (rule, path) =>
    rule.resources.writes.some((outer) => pathPatternContains(outer, path)),
  )
  check('binary', asked.binaries, plain, (rule, path) => {
    const inner = parsePathPattern(path)
    return inner.ok && rule.resources.binaries.some((outer) => pathPatternContains(outer, inner.pattern))
  })
  check('env', asked.env, plain, (rule, name) => rule.resources.env.includes(name))
  check('scope', asked.scopes ?? [], plain, (rule, name) => rule.resources.scopes.includes(name))
  const executes = (rule: Rule, path: PathPattern): boolean =>
    rule.resources.executes.some((outer) => pathPatternContains(outer, path))
  const libraries = (rule: Rule, path: PathPattern): boolean =>
    rule.resources.libraries.some((outer) => pathPatternContains(outer, path))
  check('execute', asked.executes, patternText, executes, processGrants)
  check('library', asked.libraries, patternText, libraries, processGrants)
  check('right', asked.rights, plain, (rule, right) => rule.resources.rights.includes(right), processGrants)
  return excess
}
