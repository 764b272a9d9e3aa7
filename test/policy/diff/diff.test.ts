// The difference between two policies: nothing invented, nothing of a long list of edits missed, nothing said of edits that
// decide nothing.

import { describe, expect, test } from 'vitest'

import { documentFromValue } from '../../../src/core/document.ts'
import { PolicyComparison, type PolicyDiff } from '../../../src/policy/diff/diff.ts'
import { PolicyEngine } from '../../../src/policy/engine.ts'
import type { RawPolicy } from '../../../src/policy/schema.ts'
import { readPolicyTests } from '../../../src/policy/test-case.ts'
import { edited, MUTATIONS, POLICY } from './mutations.ts'

const source = (value: RawPolicy): { name: string; value: unknown }[] => [
  { name: 'policy', value: JSON.parse(JSON.stringify(value)) },
]

function diff(before: RawPolicy, after: RawPolicy): PolicyDiff {
  const result = PolicyComparison.load(source(before), source(after))
  if (!result.ok) throw new Error(result.problems.map(({ message, pointer }) => `${pointer} ${message}`).join('\n'))
  return result.comparison.diff()
}

/** Puts every witness, as it is written, to two engines of its own. */
function confirm({ differences }: PolicyDiff, before: RawPolicy, after: RawPolicy): void {
  const engines = [PolicyEngine.from(source(before)), PolicyEngine.from(source(after))]
  for (const { kind, old, new: now, witnesses } of differences) {
    expect(witnesses.length).toBeGreaterThan(0)
    for (const witness of witnesses) {
      const document = documentFromValue({ tests: [{ name: 'w', request: witness, expect: 'allow' }] }, 'witness')
      const read = document.ok ? readPolicyTests(document.document) : document
      if (!read.ok) throw new Error(JSON.stringify(read.problems))
      const [{ request } = { request: undefined }] = read.tests
      if (request === undefined) throw new Error('no request')
      if (kind === 'process') continue
      const told = engines.map((engine) => engine.evaluate(request))
      expect(told.map(({ decision }) => decision)).toEqual([old?.decision, now?.decision])
      expect(told.map(({ rules }) => rules.map(({ id }) => id))).toEqual(
        [old, now].map((one) => one?.rules.map(({ id }) => id)),
      )
    }
  }
}

describe('mutations', () => {
  test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))('%s', (_, { shows, edit }) => {
    const after = edited(edit)
    const found = diff(POLICY, after)
    if (shows.length === 0) expect(found.differences).toEqual([])
    const directions = new Set(found.differences.map(({ direction }) => direction))
    for (const direction of shows) expect(directions).toContain(direction)
    confirm(found, POLICY, after)
  })
})
