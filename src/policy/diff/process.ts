// What a process started for a call would get besides what calls touch: programs and libraries it may run and load, rights,
// limits, system calls. Compared pattern by pattern, without what another pattern of the same list contains.

import { type PathPattern, pathPatternContains } from '../../core/path-pattern.ts'
import type { ResourceGrant, ResourceGrants } from '../grants.ts'
import type { Direction, Shift } from './compare.ts'

type Part = readonly [name: string, texts: readonly string[], grants: boolean]

export function compareGrants(before: ResourceGrants, after: ResourceGrants): Shift | undefined {
  const old = partsOf(before)
  const directions = new Set<Direction>()
  const texts: string[] = []
  partsOf(after).forEach(([name, list, grants], index) => {
    const [, was = []] = old[index] ?? []
    for (const text of list.filter((one) => !was.includes(one))) {
      directions.add(grants ? 'widened' : 'narrowed')
      texts.push(`now ${name} ${text}`)
    }
    for (const text of was.filter((one) => !list.includes(one))) {
      directions.add(grants ? 'narrowed' : 'widened')
      texts.push(`no longer ${name} ${text}`)
    }
  })
  for (const key of ['wallMs', 'memoryBytes', 'processes'] as const) {
    const a = before.limits[key] ?? Number.POSITIVE_INFINITY
    const b = after.limits[key] ?? Number.POSITIVE_INFINITY
    if (a === b) continue
    directions.add(b > a ? 'widened' : 'narrowed')
    texts.push(`${key} ${a} → ${b}`)
  }
  const [only] = directions
  if (only === undefined) return undefined
  return { kind: 'process', direction: directions.size === 1 ? only : 'changed', summary: texts.join('; ') }
}

function partsOf({ permits, forbids, forbiddenSyscalls, executionMode }: ResourceGrants): readonly Part[] {
  return [
    ['may execute', patternsOf(permits, 'executes'), true],
    ['may load', patternsOf(permits, 'libraries'), true],
    ['has the right', rightsOf(permits), true],
    ['must not execute', patternsOf(forbids, 'executes'), false],
    ['must not load', patternsOf(forbids, 'libraries'), false],
    ['has not the right', rightsOf(forbids), false],
    ['has not the system call', forbiddenSyscalls.map(({ value }) => value), false],
    ['is', executionMode === 'ephemeral' ? ['ephemeral'] : [], false],
  ]
}

function rightsOf(grants: readonly ResourceGrant[]): readonly string[] {
  return [...new Set(grants.flatMap(({ rights }) => rights))].sort()
}

function patternsOf(grants: readonly ResourceGrant[], key: 'executes' | 'libraries'): readonly string[] {
  const all = new Map<string, PathPattern>(grants.flatMap((grant) => grant[key].map((one) => [one.text, one] as const)))
  const patterns = [...all.values()]
  const needed = patterns.filter(
    (inner, index) =>
      !patterns.some(
        (outer, at) =>
          at !== index && pathPatternContains(outer, inner) && !(pathPatternContains(inner, outer) && at > index),
      ),
  )
  return needed.map(({ text }) => text).sort()
}
