// Every matcher of the language against what keeps other matchers busy for minutes: patterns with many ways to fit, and texts
// that nearly do. Sizes are such that one that tries them all would not come back before the test is over.

import { describe, expect, test } from 'vitest'

import { resourceOf } from '../../src/core/named-resource.ts'
import { PolicyEngine, type PolicyRequest, type PolicyVerdict } from '../../src/policy/engine.ts'

type Members = Readonly<Record<string, unknown>>

const PERMIT = { id: 'may', effect: 'permit', roles: ['*'], tools: ['*'], hosts: ['*:*'], paths: { read: ['/**'] } }

/** Asks an engine with one forbid besides the permit of everything. */
function judge(forbid: Members): (request: Members) => PolicyVerdict {
  const must = { id: 'must-not', effect: 'forbid', roles: ['*'], tools: ['*'], ...forbid }
  const engine = PolicyEngine.from({ name: 'policy', value: { version: 1, rules: [PERMIT, must] } })
  return (request) =>
    engine.evaluate({ node: 'n', tool: 't', args: {}, resources: [], ...request } as unknown as PolicyRequest)
}

function code(verdict: PolicyVerdict): string {
  return verdict.decision === 'deny' ? verdict.code : verdict.decision
}

const MANY = 2_000_000
const long = (text: string, length = MANY): string => text.repeat(Math.ceil(length / text.length))
const arg = (condition: Members): Members => ({ args: { '/x': condition } })
const call = (x: unknown): Members => ({ args: { x } })

describe('a text condition takes time in proportion to the text', () => {
  const stars = `${'*a'.repeat(31)}b`
  test.each<[string, Members, string, string]>([
    ['a glob of many stars', { glob: stars }, long('a'), `${long('a')}b`],
    ['a glob of many stars, without regard to case', { glob: stars, ignore_case: true }, long('A'), `${long('A')}B`],
    ['a glob of stars and sets', { glob: `${'*[a-c]?'.repeat(31)}z` }, long('abc'), `${long('abc')}z`],
    [
      'a glob of stars and dashes',
      { glob: '*-*-*-*.example.com' },
      `${long('-')}.evil.test`,
      '-'.repeat(250).concat('.example.com'),
    ],
    ['a glob with a long text after a star', { glob: `*${'a'.repeat(900)}b*` }, long('a'), `${long('a')}b`],
    ['a pattern of nested repeats', { pattern: '(a+)+' }, `${long('a')}!`, long('a')],
    ['a pattern of repeats of anything', { pattern: '(.*a){10}' }, `${long('a', 200_000)}!`, long('a', 200_000)],
    ['a pattern of alternatives that overlap', { pattern: '(?:a|aa)*b' }, long('a'), `${long('a')}b`],
    ['a pattern of stars in stars', { pattern: '(?:(?:a*)*)*b' }, long('a'), `${long('a')}b`],
    ['a pattern of counted stars', { pattern: `${'.*a'.repeat(12)}b` }, long('a', 200_000), `${long('a', 200_000)}b`],
    ['a pattern that starts anywhere', { pattern: '.*.*=.*' }, long('x'), `${long('x')}=`],
    ['a pattern of spaces before an end', { pattern: '[^]*[ ]+[a-z]' }, `${long(' ')}!`, `${long(' ')}a`],
  ])('%s', (_name, condition, misses, hits) => {
    const ask = judge(arg(condition))
    expect(code(ask(call(misses)))).toBe('allow')
    expect(code(ask(call(hits)))).toBe('forbidden')
  })

  test('and where a pattern and a text are too large together nothing is tried: it cannot be told', () => {
    const ask = judge(arg({ pattern: '(?:[a-y]{20}){50}z' }))
    expect(code(ask(call(long('a'))))).toBe('policy_error')
    expect(code(ask(call('a')))).toBe('allow')
  })
})

describe('a list takes time in proportion to the list', () => {
  const items = Array.from({ length: 200_000 }, (_, index) => `item-${index}`)
  test.each<[string, Members, readonly unknown[], readonly unknown[]]>([
    ['contains', { contains: 'x' }, items, [...items, 'x']],
    ['some', { some: { glob: '*a*a*a*b' } }, items, [...items, 'aaab']],
    ['every', { every: { pattern: '(?:[a-z]+-?[0-9]*)+' } }, [...items, '!'], items],
    ['some of many values', { some: { one_of: ['x', 'y', 'z'] } }, items, [...items, 'z']],
  ])('%s', (_name, condition, misses, hits) => {
    const ask = judge(arg(condition))
    expect(code(ask(call(misses)))).toBe('allow')
    expect(code(ask(call(hits)))).toBe('forbidden')
  })

  test('a schema that asks whether items are different', () => {
    const schema = { type: 'object', properties: { list: { type: 'array', uniqueItems: true } } }
    const ask = judge(arg({ schema }))
    const list = Array.from({ length: 60_000 }, (_, index) => ({ index, same: [1, 2, 3] }))
    expect(code(ask(call({ list })))).toBe('forbidden')
    expect(code(ask(call({ list: [...list, list[0]] })))).toBe('allow')
  })

  test('a schema with a pattern of nested repeats', () => {
    const schema = { type: 'object', properties: { text: { type: 'string', pattern: '^(a+)+$' } } }
    const ask = judge(arg({ schema }))
    expect(code(ask(call({ text: long('a', 500_000) })))).toBe('forbidden')
    expect(code(ask(call({ text: `${long('a', 500_000)}!` })))).toBe('allow')
  })
})

describe('names, labels, hosts and paths take time in proportion to what they are', () => {
  const stars = `${'*a'.repeat(31)}b`

  test('names of tools, nodes, skills and of the nodes around a node', () => {
    const name = 'a'.repeat(127)
    for (const key of ['tools', 'nodes', 'skills', 'after', 'before'] as const) {
      const ask = judge({ [key]: [stars] })
      const request = (text: string): Members => ({
        node: key === 'nodes' ? text : 'n',
        tool: key === 'tools' ? text : 't',
        skill: key === 'skills' ? text : 's',
        upstream: Array<string>(key === 'after' ? 5000 : 0).fill(text),
        downstream: Array<string>(key === 'before' ? 5000 : 0).fill(text),
      })
      expect(code(ask(request(name))), key).toBe('allow')
      expect(code(ask(request(`${name}b`))), key).toBe('forbidden')
    }
  })

  test('labels of a node', () => {
    const ask = judge({ labels: { team: [`${'*a'.repeat(31)}b`] } })
    expect(code(ask({ labels: { team: long('a') } }))).toBe('allow')
    expect(code(ask({ labels: { team: `${long('a')}b` } }))).toBe('forbidden')
  })

  test('hosts', () => {
    const ask = judge({ hosts: [`**.${'a.'.repeat(120)}test`, '**.a.test', '*.a.test', '**.a.a.test'] })
    const host = (text: string): Members => ({ resources: [resourceOf('host', text)] })
    for (let round = 0; round < 20_000; round++) ask(host(`${'a.'.repeat(120)}example`))
    expect(code(ask(host(`${'a.'.repeat(120)}example`)))).toBe('allow')
    expect(code(ask(host(`${'a.'.repeat(120)}test`)))).toBe('forbidden')
  })

  test.each([
    ['many ways through the directories', `/${'**/a/'.repeat(60)}**/b`],
    ['many ways through a name', `/**/${'*a'.repeat(31)}b`],
    ['both', `/${'**/*a*a/'.repeat(30)}b`],
  ])('paths: %s', (_what, pattern) => {
    const ask = judge({ paths: { read: [pattern] } })
    const path = (text: string): Members => ({ resources: [resourceOf('path', text)] })
    expect(code(ask(path('/aaa'.repeat(1000))))).toBe('allow')
    expect(code(ask(path(`/${'a'.repeat(4000)}`)))).toBe('allow')
    expect(code(ask(path(`${'/a'.repeat(2000)}`)))).toBe('allow')
  })

  test('a pattern that fits in many ways, among as many like it as make an index', () => {
    const patterns = Array.from({ length: 200 }, (_, index) => `/${'**/a/'.repeat(20)}**/b${index}`)
    const ask = judge({ paths: { read: patterns } })
    const path = (text: string): Members => ({ resources: [resourceOf('path', text)] })
    expect(code(ask(path('/a'.repeat(2000))))).toBe('allow')
    expect(code(ask(path(`${'/a'.repeat(1990)}/b7`)))).toBe('forbidden')
  })

  test('values deep inside of the arguments', () => {
    const deep = (depth: number, leaf: unknown): unknown => (depth === 0 ? leaf : { a: deep(depth - 1, leaf) })
    const pointer = '/a'.repeat(300)
    const ask = judge({ args: { [pointer]: { equals: 1 } } })
    expect(code(ask({ args: deep(300, 2) }))).toBe('allow')
    expect(code(ask({ args: deep(300, 1) }))).toBe('forbidden')
  })
})
