// The tables of docs/policy.md are claims about the language. Each row is put to the engine.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

import { parseHost } from '../../src/core/host.ts'
import type { JsonObject } from '../../src/core/json.ts'
import { resourceOf } from '../../src/core/named-resource.ts'
import type { Resource } from '../../src/core/resource.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { policyShape } from '../../src/policy/schema.ts'

const page = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')

/** Rows of the one table with this header, cells without their back quotes. */
function table(header: string): readonly (readonly string[])[] {
  const lines = page.split('\n')
  const start = lines.indexOf(header)
  if (start < 0) throw new Error(`no table ${header}`)
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'))
  return lines.slice(start + 2, end).map((line) =>
    line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')),
  )
}

const everyone = { nodes: ['*'], tools: ['*'] }

function decide(rules: readonly object[], resources: readonly Resource[], args: JsonObject = {}): string {
  const engine = PolicyEngine.from({ name: 'docs', value: { version: 1, rules } })
  const verdict = engine.evaluate({ node: 'n', tool: 't', args, resources })
  return verdict.decision === 'allow' ? 'allow' : verdict.denial.code
}

describe('hosts', () => {
  test.each(table('| pattern | destination | permit | forbid |'))(
    '%s and %s: %s, %s',
    (pattern, text, permit, forbid) => {
      const [, scheme, authority] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(text ?? '') ?? []
      const parsed = parseHost(authority ?? '')
      if (!parsed.ok) throw new Error(parsed.reason)
      const { host, port } = parsed
      const destination: Resource = {
        kind: 'network',
        host,
        from: '/url',
        ...(scheme === undefined ? {} : { scheme }),
        ...(port === undefined ? {} : { port }),
      }
      const hosts = [pattern]
      expect(decide([{ id: 'p', effect: 'permit', ...everyone, hosts }], [destination])).toBe(
        permit === 'covers' ? 'allow' : 'no_matching_permit',
      )
      expect(decide([{ id: 'f', effect: 'forbid', ...everyone, hosts }], [destination])).toBe(
        forbid === 'touches' ? 'forbidden' : 'no_matching_permit',
      )
    },
  )
})

describe('paths', () => {
  test.each(table('| pattern | path | matches |'))('%s and %s: %s', (pattern, path, matches) => {
    const paths = { read: [pattern] }
    const resource: Resource = { kind: 'path', path: path ?? '', access: 'read', from: '/path' }
    expect(decide([{ id: 'p', effect: 'permit', ...everyone, paths }], [resource]) === 'allow').toBe(matches === 'yes')
    expect(decide([{ id: 'f', effect: 'forbid', ...everyone, paths }], [resource]) === 'forbidden').toBe(
      matches === 'yes',
    )
  })
})

describe('conditions', () => {
  const ANSWERS: Readonly<Record<string, readonly [permit: string, forbid: string]>> = {
    holds: ['allow', 'forbidden'],
    'does not hold': ['no_matching_permit', 'allow'],
    'cannot be told': ['no_matching_permit', 'policy_error'],
  }

  test.each(table('| condition | arguments | answer |'))('%s on %s: %s', (condition, text, answer) => {
    const args = JSON.parse(text ?? '') as JsonObject
    const judge = (effect: string, beside: string): string => {
      const source = `version: 1\nrules:\n  - id: r\n    effect: ${effect}\n    nodes: ["*"]\n    tools: [t]\n    args: { ${condition?.replace(/^([^:]+):/, '"$1":')} }\n${beside}`
      const verdict = PolicyEngine.from({ file: 'docs.yaml', text: source }).evaluate({
        node: 'n',
        tool: 't',
        args,
        resources: [],
      })
      return verdict.decision === 'allow' ? 'allow' : verdict.denial.code
    }
    const permit = judge('permit', '')
    const forbid = judge('forbid', '  - { id: z, effect: permit, nodes: ["*"], tools: [t] }\n')
    expect([permit, forbid]).toEqual(ANSWERS[answer ?? ''])
  })
})

describe('residency', () => {
  test.each(table('| data from | destination | verdict |'))('%s to %s: %s', (from, destination, verdict) => {
    const text = [...page.matchAll(/```yaml policy\n([\s\S]*?)```/g)].map(([, block]) => block ?? '')
    const block = text.find((one) => one.includes('eu-data-stay')) ?? ''
    const engine = PolicyEngine.from({ file: 'docs.yaml', text: block })
    const dataRegions = from === 'not said' ? {} : { dataRegions: [from ?? ''] }
    const resources = [resourceOf('host', destination ?? '', { method: 'PUT' })]
    const answer = engine.evaluate({ node: 'n', tool: 'upload', args: {}, resources, ...dataRegions })
    const said = answer.decision === 'allow' ? 'allow' : `${answer.decision} \`${answer.denial.code}\``
    expect(said).toBe(verdict)
  })
})

test('every key of the format is in the page, and no other', () => {
  const rule = policyShape.shape.rules.element.shape
  const role = policyShape.shape.roles.unwrap().valueType.shape
  const condition = rule.args.unwrap().valueType.shape
  const named = (header: string): string[] =>
    table(header).flatMap(([cell]) =>
      [...(cell ?? '').matchAll(/(?:^|`|, )([a-z_]+)(?=`|:|,|$)/g)].map(([, name]) => name ?? ''),
    )
  expect(named('| key | meaning |').sort()).toEqual(Object.keys(policyShape.shape).sort())
  expect(named('| key of a role | meaning |').sort()).toEqual(Object.keys(role).sort())
  expect(named('| key | meaning | absent |').sort()).toEqual(Object.keys(rule).sort())
  const own = (section: 'limits' | 'obligations'): string[] =>
    Object.keys(policyShape.shape[section].unwrap().element.shape).filter(
      (key) => !['id', 'reason', ...Object.keys(rule)].includes(key),
    )
  expect(named('| key of a limit | meaning |').sort()).toEqual(own('limits').sort())
  expect(named('| key of an obligation | meaning |').sort()).toEqual(own('obligations').sort())
  const entry = Object.keys(policyShape.shape.egress.unwrap().element.shape).filter((key) => !/^(id|reason)$/.test(key))
  expect(named('| key of an egress entry | meaning |').sort()).toEqual(entry.sort())
  expect(named('| test | holds when the argument | cannot be told when it |').sort()).toEqual(
    Object.keys(condition).sort(),
  )
})
