// `agentport explain` as an operator meets it: the verdict, why, what came near, and the lines that would allow the call.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { run } from '../../src/cli/main.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-explain-'))
  file('policy.yaml', POLICY)
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function file(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

async function explain(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await run(['explain', join(directory, 'policy.yaml'), ...args], {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    color: false,
  })
  const plain = (lines: readonly string[]): string => lines.join('\n').replaceAll(directory, '.')
  return { code, out: plain(out), err: plain(err) }
}

const POLICY = `version: 1
roles:
  reader: { nodes: [fetch] }
  clerk: { asserted: true }
rules:
  - { id: read, effect: permit, roles: [reader], tools: [http_get], hosts: ["https://\${site}"], methods: [GET], reason: prices }
  - { id: never, effect: forbid, roles: ["*"], tools: ["*"], hosts: [admin.example.com] }
  - { id: pay, effect: require_approval, roles: [clerk], tools: [pay], approval: { approvers: [ana], expires: 1m } }
  - { id: big, effect: forbid, roles: [clerk], tools: [tip], args: { /amount: { min: 100 } } }
  - { id: tip, effect: permit, roles: [clerk], tools: [tip] }
limits:
  - { id: few, roles: ["*"], tools: ["*"], kind: budget, max: 100, by: [all] }
obligations:
  - { id: pin, roles: ["*"], tools: [http_get], pin_addresses: true }
`
const SITE = ['--var', 'site=shop.example.com']
const FETCH = [...SITE, '--node', 'fetch', '--tool', 'http_get']

describe('the verdict', () => {
  test('allow: the rule, what it costs, what it obliges to', async () => {
    const { code, out, err } = await explain(...FETCH, '--url', 'https://shop.example.com/', '--method', 'GET')
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain('allow\n  rule: read (permit) ./policy.yaml:6:5 — prices\n')
    expect(out).toContain('takes:\n  1 of few (budget 100)')
    expect(out).toContain('obliges to:\n  pin_addresses (pin)')
    expect(out).not.toContain('to allow it')
  })

  test('deny: what came near and why not, and what to add, which then allows it', async () => {
    const call = [...FETCH, '--url', 'https://shop.example.com:8443/', '--method', 'POST']
    const { code, out } = await explain(...call)
    expect(code).toBe(1)
    expect(out).toContain('deny no_matching_permit:')
    expect(out).toContain('the host fits https://shop.example.com, scheme or port does not')
    const yaml = out.slice(out.indexOf('rules:'))
    expect(yaml).toBe(
      `rules:
  - id: "permit-fetch-http_get"
    effect: "permit"
    nodes: ["fetch"]
    tools: ["http_get"]
    hosts: ["https://shop.example.com:8443"]
    methods: ["POST"]`,
    )
    const more = file('more.policy.yaml', `version: 1\n${yaml}\n`)
    expect((await explain(more, ...call)).code).toBe(0)
  })

  test('a method that is not known is said to be it', async () => {
    const { code, out } = await explain(...FETCH, '--url', 'https://shop.example.com/')
    expect(code).toBe(1)
    expect(out).toContain('the host fits, the method is not known (it lists GET)')
  })

  test('escalate: who has to agree, exit code 3', async () => {
    const { code, out } = await explain(...SITE, '--node', 'till', '--role', 'clerk', '--tool', 'pay')
    expect(code).toBe(3)
    expect(out).toContain('needs approval:\n  pay: 1 of ana, within 60 s')
  })

  test('what cannot be told is named, and nothing is offered for it', async () => {
    const { code, out } = await explain(...SITE, '--node', 'till', '--role', 'clerk', '--tool', 'tip')
    expect(code).toBe(1)
    expect(out).toContain('deny policy_error: big could not be evaluated: /amount absent or of another type')
    expect(out).toContain('cannot be told:\n  big (forbid)')
    expect(out).not.toContain('to allow it')
  })

  test('a statement about somebody else is a miss that says so', async () => {
    const { out } = await explain(...SITE, '--node', 'till', '--tool', 'tip')
    expect(out).toContain('tip (permit) ./policy.yaml:10:5: roles clerk')
  })
})

describe('the request', () => {
  test('arguments are JSON where they can be, else texts', async () => {
    const clerk = [...SITE, '--node', 'till', '--role', 'clerk', '--tool', 'tip']
    expect((await explain(...clerk, '--arg', '/amount=99')).code).toBe(0)
    expect((await explain(...clerk, '--arg', '/amount=100')).out).toContain('deny forbidden')
    expect((await explain(...clerk, '--arg', '/amount="99"')).out).toContain('deny policy_error')
    expect((await explain(...clerk, '--arg', '/amount=much')).out).toContain('deny policy_error')
  })

  test.each(['request.yaml', 'test.json'])('from a file, alone or as a policy test: %s', async (name) => {
    const request = {
      node: 'fetch',
      tool: 'http_get',
      resources: [{ url: 'https://shop.example.com/', method: 'GET' }],
    }
    const path = file(name, JSON.stringify(name === 'test.json' ? { name: 't', request, expect: 'allow' } : request))
    expect((await explain(...SITE, '--request', path)).code).toBe(0)
  })

  test('as JSON', async () => {
    const { out } = await explain(...FETCH, '--host', 'x.example.org', '--json')
    const told = JSON.parse(out) as { decision: string; denial: { code: string }; yaml: string; statements: unknown[] }
    expect(told).toMatchObject({ decision: 'deny', denial: { code: 'no_matching_permit' } })
    expect(told.yaml).toContain('hosts: ["x.example.org"]')
    expect(told.statements).toHaveLength(7)
  })

  test.each([
    [['--tool', 'x'], 'node'],
    [['--node', 'a b', '--tool', 'x'], 'not a name'],
    [['--node', 'n', '--tool', 'x', '--url', 'https://a b/'], 'not a url'],
    [['--node', 'n', '--tool', 'x', '--arg', 'amount=1'], '--arg takes /pointer=value'],
    [['--node', 'n', '--tool', 'x', '--request', '/dev/null'], 'is the whole request'],
    [['--node', 'n', '--tool', 'x', '--answer', 'opa q=maybe'], '--answer takes'],
  ])('%s is refused', async (args, message) => {
    const { code, out, err } = await explain(...SITE, ...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(message)
  })

  test('a fault in a file has its place', async () => {
    const path = file('request.yaml', 'node: fetch\ntool: http_get\nresource: []\n')
    const { code, err } = await explain(...SITE, '--request', path)
    expect(code).toBe(2)
    expect(err).toContain('./request.yaml:3:1: error unknown_key')
  })

  test('a policy that does not load: its problems, and no verdict', async () => {
    const { code, out, err } = await explain('--node', 'n', '--tool', 't')
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain('policy.yaml:6:')
  })
})
