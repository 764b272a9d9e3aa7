// The matchers as a user's test calls them, both ways round. What is about the request and not about the policy has to be
// loud in both.

import { describe, expect, test } from 'vitest'

import { resourceOf } from '../../src/core/named-resource.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { PolicyRequest } from '../../src/policy/request.ts'
import { type PolicyMatchers, policyMatchers } from '../../src/testing/matchers.ts'

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: as vitest declares it
  interface Matchers<T = any> extends PolicyMatchers {}
}

expect.extend(policyMatchers)

const engine = PolicyEngine.from({
  file: 'policy.yaml',
  text: `version: 1
roles:
  reader: { nodes: [fetch] }
  clerk: { asserted: true }
rules:
  - { id: read, effect: permit, roles: [reader], tools: [http_get], hosts: [example.com, internal.example.com] }
  - { id: never, effect: forbid, roles: ["*"], tools: ["*"], hosts: [internal.example.com], reason: not ours }
  - { id: pay, effect: require_approval, roles: [clerk], tools: [pay] }
`,
})
const get = (url: string): PolicyRequest => ({
  node: 'fetch',
  tool: 'http_get',
  args: { secret: 'hunter2' },
  resources: [resourceOf('url', url)],
})
const READ = get('https://example.com/')
const NEVER = get('https://internal.example.com/')
const OTHER = get('https://other.test/')
const PAY: PolicyRequest = { node: 'till', roles: ['clerk'], tool: 'pay', args: {}, resources: [] }

/** What the failing assertion says. */
function failure(assertion: () => void): string {
  try {
    assertion()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  throw new Error('it passed')
}

test('what holds', () => {
  expect(engine).toAllow(READ)
  expect(engine).toAllow(READ, 'read')
  expect(engine).toDeny(NEVER)
  expect(engine).toDeny(NEVER, 'forbidden')
  expect(engine).toDeny(OTHER, 'no_matching_permit')
  expect(engine).toEscalate(PAY)
  expect(engine).toEscalate(PAY, 'pay')
})

test('what holds negated', () => {
  expect(engine).not.toAllow(NEVER)
  expect(engine).not.toAllow(READ, 'other')
  expect(engine).not.toAllow(PAY)
  expect(engine).not.toDeny(READ)
  expect(engine).not.toDeny(PAY)
  expect(engine).not.toDeny(OTHER, 'forbidden')
  expect(engine).not.toEscalate(READ)
  expect(engine).not.toEscalate(PAY, 'read')
})

test.each<[string, () => void, string]>([
  [
    'toAllow of a denial',
    () => expect(engine).toAllow(NEVER),
    'expected the policy to allow tool http_get on node fetch',
  ],
  ['toAllow by another rule', () => expect(engine).toAllow(READ, 'other'), 'expected the policy to allow [other]'],
  ['toDeny of an allow', () => expect(engine).toDeny(READ), 'expected the policy to deny'],
  ['toDeny by another code', () => expect(engine).toDeny(NEVER, 'no_matching_permit'), 'to deny no_matching_permit'],
  ['toDeny of an escalation', () => expect(engine).toDeny(PAY), 'actual: escalate approval_required [pay]'],
  ['toEscalate of an allow', () => expect(engine).toEscalate(READ), 'expected the policy to escalate'],
  ['not.toAllow of an allow', () => expect(engine).not.toAllow(READ), 'expected the policy not to allow'],
  ['not.toDeny of a denial', () => expect(engine).not.toDeny(NEVER), 'expected the policy not to deny'],
  ['not.toDeny with its code', () => expect(engine).not.toDeny(NEVER, 'forbidden'), 'not to deny forbidden'],
  ['not.toEscalate of an escalation', () => expect(engine).not.toEscalate(PAY), 'not to escalate'],
])('fails: %s', (_, assertion, message) => {
  expect(failure(assertion)).toContain(message)
})

test('a failure says what the operator needs, and nothing of the arguments', () => {
  const message = failure(() => expect(engine).toAllow(NEVER))
  expect(message).toContain('actual: deny forbidden [never]')
  expect(message).toContain('rule: never (forbid) policy.yaml:7:5 — not ours')
  expect(message).toContain('recoverable: never')
  expect(message).not.toContain('hunter2')
})

describe('loud both ways', () => {
  const BAD: PolicyRequest = { ...READ, node: 'a b' }
  const MISSPELT: PolicyRequest = { ...PAY, roles: ['clrek'] }
  const broken = {
    evaluate: (): never => {
      throw new Error('boom')
    },
  }

  test.each<[string, () => void]>([
    ['toAllow', () => expect(engine).toAllow(BAD)],
    ['not.toAllow', () => expect(engine).not.toAllow(BAD)],
    ['toDeny', () => expect(engine).toDeny(BAD)],
    ['not.toDeny', () => expect(engine).not.toDeny(BAD)],
    ['toDeny with another code', () => expect(engine).toDeny(BAD, 'forbidden')],
    ['not.toDeny with another code', () => expect(engine).not.toDeny(BAD, 'forbidden')],
    ['toEscalate', () => expect(engine).toEscalate(BAD)],
    ['not.toEscalate', () => expect(engine).not.toEscalate(BAD)],
    ['a role nobody defined', () => expect(engine).toDeny(MISSPELT)],
    ['not.toAllow with such a role', () => expect(engine).not.toAllow(MISSPELT)],
  ])('%s', (_, assertion) => {
    expect(failure(assertion)).toMatch(/^the request was not judged: /)
  })

  test.each<[string, () => void]>([
    ['toDeny', () => expect(broken).toDeny(READ)],
    ['not.toDeny', () => expect(broken).not.toDeny(READ)],
    ['not.toAllow', () => expect(broken).not.toAllow(READ)],
  ])('an engine that throws: %s', (_, assertion) => {
    expect(failure(assertion)).toBe('the engine failed on tool http_get on node fetch: Error: boom')
  })

  test.each<[string, () => void]>([
    ['no engine', () => expect(undefined).not.toAllow(READ)],
    ['a verdict instead of an engine', () => expect(engine.evaluate(READ)).not.toDeny(READ)],
    ['no request', () => expect(engine).not.toAllow(undefined as unknown as PolicyRequest)],
    ['a code that does not exist', () => expect(engine).not.toDeny(READ, 'forbiden' as 'forbidden')],
  ])('%s', (_, assertion) => {
    expect(assertion).toThrow(TypeError)
  })

  test('by its own name it can be asked for', () => {
    expect(engine).toDeny(BAD, 'request_invalid')
    expect(engine).toDeny(MISSPELT, 'role_unknown')
    expect(engine).not.toDeny(NEVER, 'request_invalid')
    expect(failure(() => expect(engine).not.toDeny(BAD, 'request_invalid'))).toContain('not to deny request_invalid')
  })
})
