// What the property tests of this folder do with a random policy: load it, and ask it something.

import fc from 'fast-check'

import { PolicyEngine } from '../../src/policy/engine.ts'
import type { RawPolicy } from '../../src/policy/schema.ts'
import type { PolicyDraft } from './arbitraries.ts'
import { Dice, nearRequest } from './near-request.ts'
import type { ReferenceRequest } from './reference.ts'

export const seed: fc.Arbitrary<number> = fc.integer()

export function engineOf(documents: readonly RawPolicy[]): PolicyEngine {
  return PolicyEngine.from(documents.map((value, index) => ({ name: `policy-${index}.json`, value })))
}

export function requestsFor(draft: PolicyDraft, from: number, count: number): ReferenceRequest[] {
  const dice = new Dice(from)
  return Array.from({ length: count }, () => nearRequest(draft, dice))
}
