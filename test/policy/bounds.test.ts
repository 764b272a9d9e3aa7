// What does not grow: the memory that names from outside can take, and the time that patterns and rules can cost.

import { describe, expect, test } from 'vitest'

import { resourceOf } from '../../src/core/named-resource.ts'
import { PolicyEngine, type PolicyVerdict } from '../../src/policy/engine.ts'

describe('many names', () => {
  test('from outside do not make the engine forget or fill up: the hundred-thousandth is judged like the first', () => {
    const engine = PolicyEngine.from({
      name: 'p',
      value: {
        version: 1,
        roles: { researcher: { nodes: ['search_*'] } },
        rules: [
          { id: 'a', effect: 'permit', roles: ['researcher'], tools: ['http_*'] },
          { id: 'b', effect: 'permit', nodes: ['fetch'], tools: ['read_file'] },
        ],
      },
    })
    const ask = (node: string, tool: string): PolicyVerdict => engine.evaluate({ node, tool, args: {}, resources: [] })
    const before = ask('fetch', 'read_file')
    for (let index = 0; index < 20_000; index++) ask(`node-${index}`, `tool-${index}`)
    expect(ask('fetch', 'read_file')).toEqual(before)
    expect(ask('search_new', 'http_get').decision).toBe('allow')
  })

  test('in one rule select the same as one name each', () => {
    const names = Array.from({ length: 12 }, (_, index) => `n${index}`)
    const tools = ['t1', 't2', 't*']
    const one = PolicyEngine.from({
      name: 'p',
      value: { version: 1, rules: [{ id: 'r', effect: 'permit', nodes: names, tools }] },
    })
    const each = PolicyEngine.from({
      name: 'p',
      value: {
        version: 1,
        rules: names.flatMap((node) =>
          tools.map((tool, index) => ({ id: `${node}-${index}`, effect: 'permit', nodes: [node], tools: [tool] })),
        ),
      },
    })
    for (const node of [...names, 'n12', 'n']) {
      for (const tool of ['t1', 't2', 't3', 't', 'x']) {
        const request = { node, tool, args: {}, resources: [] }
        expect(one.evaluate(request).decision).toBe(each.evaluate(request).decision)
      }
    }
  })
})

describe('time', () => {
  /** A matcher as one would write it first; counts its steps and stops at `limit`. */
  function naiveSteps(pattern: readonly string[], path: readonly string[], limit: number): number {
    let steps = 0
    const matches = (at: number, from: number): boolean => {
      if (++steps > limit) return false
      if (at === pattern.length) return from === path.length
      if (pattern[at] !== '**') return pattern[at] === path[from] && matches(at + 1, from + 1)
      return matches(at + 1, from) || (from < path.length && matches(at, from + 1))
    }
    matches(0, 0)
    return steps
  }

  test('to judge a path does not depend on how many ways a pattern could fit it', () => {
    const pattern = ['**', 'a', '**', 'a', '**', 'a', '**', 'a', '**', 'a', '**', 'a', '**', 'b']
    expect(naiveSteps(pattern, Array<string>(40).fill('a'), 1e6)).toBeGreaterThan(1e6)

    const forbid = { id: 'f', effect: 'forbid', roles: ['*'], tools: ['*'], paths: { read: [`/${pattern.join('/')}`] } }
    const permit = { id: 'p', effect: 'permit', roles: ['*'], tools: ['*'], paths: { read: ['/**'] } }
    const careful = PolicyEngine.from({ name: 'p', value: { version: 1, rules: [forbid, permit] } })
    const judge = (path: string): string =>
      careful.evaluate({ node: 'n', tool: 't', args: {}, resources: [resourceOf('path', path)] }).decision
    expect(judge('/a'.repeat(2000))).toBe('allow')
    expect(judge(`${'/a'.repeat(2000)}/b`)).toBe('deny')
  })

  test('to judge a call follows the rules that touch it, not the rules there are', () => {
    const rules = Array.from({ length: 20_000 }, (_, index) => ({
      id: `r${index}`,
      effect: index % 10 === 0 ? 'forbid' : 'permit',
      roles: ['*'],
      tools: ['t'],
      hosts: [`h${index}.example.com`],
    }))
    const some = PolicyEngine.from({ name: 'p', value: { version: 1, rules } })
    const request = { node: 'n', tool: 't', args: {}, resources: [resourceOf('host', 'h7.example.com')] }
    // Looking at each rule every time would take minutes, and the test has one.
    for (let call = 0; call < 500_000; call++) some.evaluate(request)
    expect(some.evaluate(request)).toMatchObject({ decision: 'allow', rules: [{ id: 'r7' }] })
  })
})
